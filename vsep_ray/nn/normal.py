"""The normal distribution as training needs it."""

import math

from torch import Tensor
from torch.distributions import Normal

LOG_2PI = math.log(2 * math.pi)


def normal(mean: Tensor, std: float | Tensor) -> Normal:
    """N(mean, std^2) that lets NaN through, which `vsep_ray.training.fit` skips and counts.

    torch's own checks would raise, and would wait for the device at every call.
    """
    return Normal(mean, std, validate_args=False)
