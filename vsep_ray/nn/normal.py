"""The normal distribution as training needs it."""

import math

import torch
from torch import Tensor
from torch.distributions import Normal

from vsep_ray.parallel import random

LOG_2PI = math.log(2 * math.pi)


class _Normal(Normal):
    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = torch.Size()) -> Tensor:  # noqa: B008
        """Returns draws, made item by item. Shape: (*sample_shape, B, ...)."""
        shape = self._extended_shape(torch.Size(sample_shape))
        return self.loc + self.scale * random.normal(shape, self.loc, len(sample_shape))

    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = torch.Size()) -> Tensor:  # noqa: B008
        """Returns what `rsample` does, without a gradient."""
        with torch.no_grad():
            return self.rsample(sample_shape)


def normal(mean: Tensor, std: float | Tensor) -> Normal:
    """Returns N(mean, std^2), which draws item by item (`vsep_ray.parallel.random`) and lets NaN through
    (`vsep_ray.training.fit` skips and counts it).

    torch's own checks would raise, and would wait for the device at every call.
    """
    return _Normal(mean, std, validate_args=False)
