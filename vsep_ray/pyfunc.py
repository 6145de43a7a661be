"""A registered model as MLflow loads it, wherever vsep_ray is installed.

    model = mlflow.pyfunc.load_model("models:/vsep-separator@champion")
    stems = model.predict(mixture, params={"sample_rate": 44100})

Its ``MLmodel`` names this module as the loader; weights are safetensors, and nothing is unpickled.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vsep_ray import checkpoint
from vsep_ray.audio.resampling import Audio
from vsep_ray.priors import Prior
from vsep_ray.separation import separate
from vsep_ray.separators import Separator


def _load_pyfunc(path: str) -> "SeparatorModel | PriorModel":
    """Returns the model of a checkpoint directory; MLflow calls this function by its name."""
    module = checkpoint.load(path)
    return SeparatorModel(module) if isinstance(module, Separator) else PriorModel(module)


class SeparatorModel:
    """It separates a mixture into stems, as `vsep_ray.separation.separate` does."""

    def __init__(self, separator: Separator) -> None:
        self.separator = separator

    def predict(self, mixture: Audio, params: Mapping[str, Any] | None = None) -> Audio:
        """Returns the stems of a mixture, which sum to it.

        Shape: (C, T) -> (J, C, T), stems in the order of the names in ``sources``, else in the model's order.

        Args:
            mixture: full scale is 1; any number of channels and samples.
            params: ``sample_rate`` of the mixture in Hz; 0: the model's own. ``sources``: ``four`` (default),
                ``six``, or names with or without ``rest``, as in ``vocals rest``.

        Raises:
            UserError: an empty mixture, or samples that are not finite; a source that the model lacks.
        """
        asked = params or {}
        rate = int(asked.get("sample_rate") or self.separator.sample_rate)
        return np.stack([*separate(mixture, rate, self.separator, asked.get("sources", "")).values()])


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
