"""Losses of the posterior's mean beside its likelihood, which neither silence nor loud passages may bend."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from vsep_ray.config import UserError

AUDIBLE = 1e-6  # mean power, -60 dBFS
FAINT = 1e-4
"""A source whose power is less than this share of the mixture's (-40 dB) counts as silent."""


@dataclass(frozen=True)
class PointConfig(ABC):
    """What all losses of the mean share: their weight, and what is left to the likelihood.

    Raises:
        UserError: a weight is negative, or all are 0.
    """

    weight: float = 1.0
    """The loss of the mean has this weight; at 0 the likelihood is alone."""
    likelihood: float = 1.0
    """The likelihood -log q(s | m) has this weight."""
    spread_only: bool = False
    """The likelihood teaches the standard deviations alone, and leaves the mean to its own loss."""

    def __post_init__(self) -> None:
        if min(self.weight, self.likelihood) < 0 or self.weight + self.likelihood == 0:
            raise UserError(
                f"--point.weight and --point.likelihood must not be negative, and not both 0; "
                f"got {self.weight} and {self.likelihood}"
            )

    @abstractmethod
    def loss(self, estimates: Tensor, sources: Tensor, mixture: Tensor) -> Tensor:
        """Returns the loss of estimates, unweighted. Shape: (B, K, C, T), (B, K, C, T), (B, C, T) -> ()."""


@dataclass(frozen=True)
class LogErrorConfig(PointConfig):
    """1/2 log(|e|^2 + tau), averaged over sources: the negative log-likelihood per sample under one variance
    per item and source, at the best such variance.

    With d in dB, tau is 10^(-d/10) of the source's power where it sounds, and of the mixture's where it is
    silent: an error below it is small enough.

    Reference: Wisdom et al., Unsupervised sound separation using mixture invariant training, 2020; silent
    references: Wisdom et al., What's all the FUSS about free universal sound separation data, 2021.
    """

    active_db: float = 50.0
    """An error this far (dB) below a source that sounds is small enough."""
    silent_db: float = 50.0
    """An error this far (dB) below the mixture is small enough where a source is silent."""

    def loss(self, estimates: Tensor, sources: Tensor, mixture: Tensor) -> Tensor:
        """Returns 1/2 log((|e|^2 + tau) / |m|^2). Shape: as in `PointConfig.loss`."""
        error, power = _power(estimates - sources), _power(sources)
        level = _power(mixture).unsqueeze(1) + AUDIBLE * 1e-6
        sounding, silent = (10 ** (-d / 10) for d in (self.active_db, self.silent_db))
        tau = torch.where(power > FAINT * level, sounding * power, silent * level)
        return 0.5 * ((error + tau) / level).log().mean()


@dataclass(frozen=True)
class AbsoluteErrorConfig(PointConfig):
    """|e| relative to the level of the mixture, averaged over samples and sources.

    Reference: Defossez et al., Music source separation in the waveform domain, 2019.
    """

    def loss(self, estimates: Tensor, sources: Tensor, mixture: Tensor) -> Tensor:
        """Returns the mean of |e| / rms(m). Shape: as in `PointConfig.loss`."""
        level = (_power(mixture) + AUDIBLE * 1e-6).sqrt()
        return ((estimates - sources).abs().mean((-2, -1)) / level.unsqueeze(1)).mean()


# The union of all losses of the mean: a new one is a config in this file and its name here.
PointLossConfig = LogErrorConfig | AbsoluteErrorConfig


def _power(x: Tensor) -> Tensor:
    return x.square().mean((-2, -1))
