"""Posterior families: how a backbone's parameters and the mixture become a law over the sources.

A family reads P = 2 parameters per source, channel and sample: the share a_k mu_k of the mixture and log std.
The conditioning itself is `vsep_ray.mixing.ConditionedNormal`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent
from typing_extensions import override

from vsep_ray.mixing import ConditionedNormal, LinearMixing
from vsep_ray.nn.normal import normal

PARAMETERS = 2


@dataclass(frozen=True)
class NormalConfig(ABC):
    """What the families of normals share: the range of their standard deviations."""

    log_std_min: float = -6.0
    """The log standard deviation of a source is at least this, relative to the level of the mixture."""
    log_std_max: float = 1.0
    """The log standard deviation of a source is at most this, relative to the level of the mixture."""

    def posterior(
        self, parameters: Tensor, mixture: Tensor, level: Tensor, mixing: LinearMixing
    ) -> Distribution:
        """Returns q(s | m), with level and scales a_k undone; log std is bounded smoothly, so that its
        gradient never dies.

        Shape: (B, K, P, C, T), (B, C, T), level (B, 1, 1) -> batch (B,), event (K, C, T).
        """
        share, raw = parameters.unbind(2)
        low, high = self.log_std_min, self.log_std_max
        log_std = low + (high - low) * (raw * 4 / (high - low) + 1).sigmoid()
        scale = level.unsqueeze(1) / mixing.scales[:, None, None]
        return self._law(share * scale, log_std.exp() * scale, mixture, mixing)

    @abstractmethod
    def _law(self, mean: Tensor, std: Tensor, mixture: Tensor, mixing: LinearMixing) -> Distribution:
        """Returns q(s | m). Shape: mean and std (B, K, C, T), mixture (B, C, T)."""


@dataclass(frozen=True)
class ConditionedNormalConfig(NormalConfig):
    """A factorised normal conditioned exactly on the mixture (the default)."""

    @override
    def _law(self, mean: Tensor, std: Tensor, mixture: Tensor, mixing: LinearMixing) -> Distribution:
        return mixing.condition(mean, std, mixture)


@dataclass(frozen=True)
class FactorisedNormalConfig(NormalConfig):
    """The founding proposal's prod_k N(s_k; mu_k, std_k^2), blind to the mixing constraint: the control."""

    @override
    def _law(self, mean: Tensor, std: Tensor, mixture: Tensor, mixing: LinearMixing) -> Distribution:
        return Independent(normal(mean, std.expand_as(mean)), 3, validate_args=False)


PosteriorConfig = ConditionedNormalConfig | FactorisedNormalConfig


def of_known_mean(q: Distribution) -> Distribution:
    """Returns the same law, whose mean passes no gradient on."""
    if isinstance(q, ConditionedNormal):
        return ConditionedNormal(q.base_mean.detach(), q.base_std, q.mixture, q.scales[:, 0, 0], q.noise_std)
    assert isinstance(q, Independent)
    return Independent(normal(q.mean.detach(), q.stddev), 3, validate_args=False)


def with_equal_parts(raw: Tensor, mixture: Tensor, num_sources: int) -> Tensor:
    """Returns the parameters with m / K added to the shares.

    Shape: (B, K 2 C, T), (B, C, T) -> (B, K, 2, C, T).
    """
    share, log_std = raw.unflatten(1, (num_sources, PARAMETERS, -1)).unbind(2)
    return torch.stack([share + mixture.unsqueeze(1) / num_sources, log_std], 2)
