"""A registered model as MLflow loads it, wherever vsep_ray is installed.

    model = mlflow.pyfunc.load_model("models:/vsep-separator@champion")
    stems = model.predict(mixture, params={"sample_rate": 44100})

Its ``MLmodel`` names this module as the loader; weights are safetensors, and nothing is unpickled.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vsep_ray import checkpoint
from vsep_ray.audio import io
from vsep_ray.audio.formats import Failure
from vsep_ray.audio.resampling import Audio
from vsep_ray.config import UserError
from vsep_ray.presets import SeparateCatalogConfig
from vsep_ray.priors import Prior
from vsep_ray.separators import Separator
from vsep_ray.streaming import Selection, separate_files
from vsep_ray.streaming.model import chunking, stream_model


def _load_pyfunc(path: str) -> "SeparatorModel | PriorModel":
    """Returns the model of a checkpoint directory; MLflow calls this function by its name."""
    module = checkpoint.load(path)
    return SeparatorModel(module) if isinstance(module, Separator) else PriorModel(module)


class SeparatorModel:
    """It separates a mixture into stems, by the same stream and with the same defaults as bulk separation."""

    def __init__(self, separator: Separator) -> None:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        defaults = SeparateCatalogConfig()
        self.selection = Selection.of(separator.sources, ())
        self.model = stream_model(separator, self.selection, 0, device)
        self.grid = chunking(separator, defaults.chunk_seconds, defaults.overlap, defaults.batch_size)

    def predict(self, mixture: Audio, params: Mapping[str, Any] | None = None) -> Audio:
        """Returns the shares a_k s_k of a mixture, which sum to it.

        Shape: (C, T) -> (K, C, T), sources in the model's order.

        Args:
            mixture: full scale is 1; any number of channels and samples.
            params: ``sample_rate`` of the mixture in Hz; 0: the model's own.

        Raises:
            UserError: an empty mixture, or samples that are not finite.
        """
        rate = int((params or {}).get("sample_rate") or self.model.sample_rate)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "mixture.wav")
            io.write(path, np.asarray(mixture, np.float32), rate, format="wav", subtype="float")
            (stems,) = separate_files([str(path)], self.model, self.grid, self.selection, "wav")
        if isinstance(stems, Failure):
            raise UserError(stems.message)
        blocks = [block for block, _ in stems.blocks()]
        stems.close()
        return np.concatenate(blocks, axis=-1)


class PriorModel:
    """It tells the log densities of clips."""

    def __init__(self, prior: Prior) -> None:
        self.prior = prior

    def predict(self, clips: Audio, params: Mapping[str, Any] | None = None) -> NDArray[np.float32]:
        """Returns the log density of each clip, nats summed over channels and samples (see `Prior.kind`).

        Shape: (B, C, T) at the prior's sample rate, T a multiple of `Prior.multiple` -> (B,).

        Args:
            clips: full scale is 1.
            params: ``noise_std``, the noise level; 0: the smallest that the prior knows.
        """
        level = float((params or {}).get("noise_std") or self.prior.noise_range[0])
        x = torch.from_numpy(np.asarray(clips, np.float32))
        return self.prior.log_prob(x, torch.full((len(x),), level)).detach().numpy()
