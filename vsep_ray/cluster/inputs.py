"""The crops, priors and separator that a job means: what its flags name, else the latest in the storage."""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path

from vsep_ray import checkpoint, storage
from vsep_ray.cluster.prepare_crops import prepare
from vsep_ray.config import UserError
from vsep_ray.crops.store import CropStore, latest_store
from vsep_ray.joint import Joint
from vsep_ray.presets import PREPARE_CROPS, TrainPriorsConfig, TrainSeparatorConfig, TuneConfig
from vsep_ray.separators import Separator
from vsep_ray.tracking import exact_model, resolve_model

log = logging.getLogger(__name__)
CACHE = "models_cache"
"""Folder of the storage, or of the home where that is in a bucket, for models from elsewhere."""


def crop_store(config: TrainPriorsConfig | TrainSeparatorConfig | TuneConfig) -> CropStore:
    """The store that ``--crops`` names, else the latest; toy crops are made where there are none.

    Raises:
        UserError: there is none, and the preset's data cannot be made; names the command that makes one.
    """
    uri = config.crops or latest_store(config.storage)
    if uri:
        return CropStore.open(uri)
    recipe = PREPARE_CROPS.get(config.preset.partition("-")[0], PREPARE_CROPS["toy"])
    if recipe.dataset.needs_files:
        raise UserError(
            f"no crop store in {config.storage}; "
            f"make one with jobs/prepare_crops.py --preset {config.preset} --root ..."
        )
    return CropStore.open(prepare(dataclasses.replace(recipe, storage=config.storage))["output"])


def prior_directories(
    priors: str, root: str, wanted: CropStore | Separator, force: bool = False
) -> dict[str, str]:
    """Source -> checkpoint directory of its prior, from ``priors`` (a folder, or the run id of
    train_priors.py) or the latest below ``root``.

    Raises:
        UserError: a source has no prior, its format is another, or it did not pass its gate and ``force``
            was not given.
    """
    folder = priors or _latest_priors(root)
    if not storage.is_directory(folder):
        folder = _by_run_id(root, folder)
    found = {s: storage.join(folder, s) for s in wanted.sources}
    for source, directory in found.items():
        _check_format(source, directory, wanted)
    _check_gate(folder, force)
    return found


def prior_marks(priors: Mapping[str, str]) -> dict[str, str]:
    """Source -> SHA-256 of its prior's weights: two sets of priors are the same if their marks are."""
    weights = {s: storage.read_bytes(storage.join(d, "model.safetensors")) for s, d in priors.items()}
    return {s: hashlib.sha256(w).hexdigest() for s, w in weights.items()}


def prior_runs(priors: Mapping[str, str]) -> dict[str, str]:
    """Tags that name the MLflow run that trained each prior."""
    provenance = {
        s: json.loads(storage.read_bytes(storage.join(d, "provenance.json"))) for s, d in priors.items()
    }
    return {f"prior_run.{s}": p["run_id"] for s, p in provenance.items() if p.get("run_id")}


def find_separator(model: str, root: str, tracking_uri: str) -> tuple[str, str, Separator]:
    """The exact URI of the separator ``model`` ("": the latest below ``root``), its checkpoint directory on
    this node, and the module.

    Raises:
        UserError: there is none, or it is a prior.
    """
    uri = exact_model(model, tracking_uri) if model else _latest_separator(root)
    cache = Path("~/.vsep_ray").expanduser() if storage.is_remote(root) else Path(root)
    directory = resolve_model(uri, tracking_uri, cache / CACHE).absolute()
    return uri, str(directory), checkpoint.load_separator(directory)


def shared(uri: str, directory: str, root: str) -> str:
    """The checkpoint directory where every node finds it: the URI in a bucket, else below the storage
    ``root``, to which one from elsewhere is copied."""
    if storage.is_remote(uri):
        return uri
    if not storage.is_remote(root) and Path(directory).is_relative_to(storage.local_path(root)):
        return directory
    target = storage.join(root, CACHE, checkpoint.identity(directory)[:16])
    if not checkpoint.is_complete(target):
        checkpoint.publish(directory, target)
    return target


def load_joint(priors: Mapping[str, str], separator: Separator) -> Joint:
    """The frozen priors, source -> checkpoint directory, in the separator's order of sources.

    Raises:
        UserError: a checkpoint is not that of a prior.
    """
    return Joint({s: checkpoint.load_prior(priors[s]) for s in separator.sources}, separator.mixing)


def _latest_separator(root: str) -> str:
    found = checkpoint.latest(root, "separator")
    if found is None:
        raise UserError(f"no separator below {root}; train one with jobs/train_separator.py, or pass --model")
    return found


def _latest_priors(root: str) -> str:
    if not (found := _trained_priors(root)):
        raise UserError(f"no priors in {root}; train them with jobs/train_priors.py --storage {root}")
    return found[0]


def _trained_priors(root: str) -> list[str]:
    """The folders that train_priors.py left below a storage, the newest first."""
    models = storage.join(root, "models")
    names = storage.newest_first(models, "discrimination.json")
    return [storage.parent(storage.join(models, name)) for name in names]


def _by_run_id(root: str, run_id: str) -> str:
    for folder in _trained_priors(root):
        words = json.loads(storage.read_bytes(storage.join(folder, "discrimination.json")))
        if words.get("run_id") == run_id:
            return folder
    raise UserError(f"--priors {run_id} is neither a folder nor the run id of priors in {root}/models")


def _check_format(source: str, directory: str, wanted: CropStore | Separator) -> None:
    if not storage.exists(storage.join(directory, "config.json")):
        raise UserError(
            f"no prior of source {source!r} in {directory}; "
            f"train it with jobs/train_priors.py --sources {source}"
        )
    description = json.loads(storage.read_bytes(storage.join(directory, "config.json")))
    format_ = (description.get("sample_rate"), description.get("channels"))
    if format_ != (wanted.sample_rate, wanted.channels):
        raise UserError(
            f"prior {directory} is for (Hz, channels) {format_}, "
            f"expected {(wanted.sample_rate, wanted.channels)}"
        )


def _check_gate(folder: str, force: bool) -> None:
    failed = json.loads(storage.read_bytes(storage.join(folder, "discrimination.json")))["discrimination"][
        "failed_gate"
    ]
    words = f"the priors of {', '.join(failed)} do not prefer their own source"
    if failed and not force:
        raise UserError(f"{words}; train them longer, or pass --force")
    if failed:
        log.warning("%s; used all the same", words)
