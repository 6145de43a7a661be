"""The model in the box: a separator for music lies here as any checkpoint does, its weights in bf16.

``python -m vsep_ray.pretrained CHECKPOINT`` makes it of a trained one; README.md is its card.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vsep_ray import checkpoint
from vsep_ray.config import UserError

BUNDLED = "bundled"
"""Jobs and functions take this name for the model."""
FOLDER = Path(__file__).parent
LARGEST = 12_000_000
"""The weights take at most this number of bytes: every clone, wheel and submitted job carries them."""
KEPT = ("regime", "objective", "dataset", "crops", "git", "step")
"""Of the provenance these are kept: paths and runs of the machine that trained it say nothing elsewhere."""


def directory(folder: Path = FOLDER) -> Path:
    """Returns the checkpoint directory of the bundled model.

    Raises:
        UserError: the folder has none.
    """
    if not checkpoint.is_complete(folder):
        raise UserError(
            "no weights are bundled with this copy of vsep_ray; "
            "name another model, or train one with jobs/train_separator.py"
        )
    return folder


def bundle(source: str, folder: Path = FOLDER) -> Path:
    """Writes a trained separator as the bundled one, its weights rounded to bf16, and returns the folder.

    Args:
        source: its checkpoint directory; of an unfinished run it has the averaged weights.
        folder: where it goes.

    Raises:
        UserError: it is no separator, or too large.
    """
    separator = checkpoint.load_separator(source)
    size = 2 * sum(weight.numel() for weight in separator.state_dict().values())
    if size > LARGEST:
        raise UserError(f"expected at most {LARGEST / 1e6:g} MB of weights; {source} has {size / 1e6:.1f}")
    checkpoint.save(folder, separator.bfloat16(), _short(checkpoint.read_provenance(source)))
    return folder


def _short(provenance: Mapping[str, Any]) -> dict[str, Any]:
    return {name: provenance[name] for name in KEPT if name in provenance} | {"weights": "bf16"}
