"""The normal distribution as training needs it."""

import math

import torch
from torch import Tensor
from torch.distributions import Normal

from vsep_ray.parallel import random

LOG_2PI = math.log(2 * math.pi)


class _Normal(Normal):
    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = torch.Size()) -> Tensor:  # noqa: B008
        """Draws item by item. Shape: (*sample_shape, B, ...)."""
        shape = self._extended_shape(torch.Size(sample_shape))
        return self.loc + self.scale * random.normal(shape, self.loc, len(sample_shape))

    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = torch.Size()) -> Tensor:  # noqa: B008
        """`rsample` without a gradient."""
        with torch.no_grad():
            return self.rsample(sample_shape)


def normal(mean: Tensor, std: float | Tensor) -> Normal:
    """N(mean, std^2) that draws item by item (see `vsep_ray.parallel.random`) and lets NaN through (which
    `vsep_ray.training.fit` skips and counts).

    torch's own checks would raise, and would wait for the device at every call.
    """
    return _Normal(mean, std, validate_args=False)
