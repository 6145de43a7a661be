"""Posterior families: how a backbone's parameters and the mixture become a law over the sources.

A family reads P = 2 parameters per source, channel and sample: the share a_k mu_k of the mixture and log std.
The conditioning itself is `vsep_ray.mixing.ConditionedNormal`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from vsep_ray.mixing import LinearMixing
from vsep_ray.nn.normal import normal

PARAMETERS = 2


@dataclass(frozen=True)
class ConditionedNormalConfig:
    """A factorised normal conditioned exactly on the mixture (the default)."""

    log_std_min: float = -6.0
    """The log standard deviation of a source is at least this, relative to the level of the mixture."""
    log_std_max: float = 1.0
    """The log standard deviation of a source is at most this, relative to the level of the mixture."""

    def posterior(
        self, parameters: Tensor, mixture: Tensor, level: Tensor, mixing: LinearMixing
    ) -> Distribution:
        """Returns q(s | m).

        Shape: (B, K, P, C, T), (B, C, T), level (B, 1, 1) -> batch (B,), event (K, C, T).
        """
        mean, std = _mean_and_std(parameters, level, mixing, self.log_std_min, self.log_std_max)
        return mixing.condition(mean, std, mixture)


@dataclass(frozen=True)
class FactorisedNormalConfig:
    """The founding proposal's prod_k N(s_k; mu_k, std_k^2), blind to the mixing constraint: the control."""

    log_std_min: float = -6.0
    """The log standard deviation of a source is at least this, relative to the level of the mixture."""
    log_std_max: float = 1.0
    """The log standard deviation of a source is at most this, relative to the level of the mixture."""

    def posterior(
        self, parameters: Tensor, mixture: Tensor, level: Tensor, mixing: LinearMixing
    ) -> Distribution:
        """Returns q(s | m).

        Shape: (B, K, P, C, T), (B, C, T), level (B, 1, 1) -> batch (B,), event (K, C, T).
        """
        mean, std = _mean_and_std(parameters, level, mixing, self.log_std_min, self.log_std_max)
        return Independent(normal(mean, std.expand_as(mean)), 3, validate_args=False)


PosteriorConfig = ConditionedNormalConfig | FactorisedNormalConfig


def _mean_and_std(
    parameters: Tensor, level: Tensor, mixing: LinearMixing, low: float, high: float
) -> tuple[Tensor, Tensor]:
    """Returns means and standard deviations, with level and scales a_k undone; log std is bounded smoothly,
    so that its gradient never dies.
    """
    share, raw = parameters.unbind(2)
    log_std = low + (high - low) * (raw * 4 / (high - low) + 1).sigmoid()
    scale = level.unsqueeze(1) / mixing.scales[:, None, None]
    return share * scale, log_std.exp() * scale


def with_equal_parts(raw: Tensor, mixture: Tensor, num_sources: int) -> Tensor:
    """Returns the parameters with m / K added to the shares.

    Shape: (B, K 2 C, T), (B, C, T) -> (B, K, 2, C, T).
    """
    share, log_std = raw.unflatten(1, (num_sources, PARAMETERS, -1)).unbind(2)
    return torch.stack([share + mixture.unsqueeze(1) / num_sources, log_std], 2)
