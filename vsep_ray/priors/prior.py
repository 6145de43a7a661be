"""The contract of a prior, and what all priors share: noise levels and scores."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from typing_extensions import override

from vsep_ray.nn.normal import LOG_2PI
from vsep_ray.parallel import random

Kind = Literal["exact", "bound", "estimate"]


@dataclass(frozen=True, kw_only=True)
class NoiseConfig:
    """What every prior's config has: noise levels, and the level of the clips that it learns from."""

    noise_min: float = 0.003
    """The prior learns no noise level below this standard deviation (full scale is 1)."""
    noise_max: float = 1.0
    """The prior learns no noise level above this standard deviation (full scale is 1)."""
    data_std: float = 0.35
    """The clean waveform has about this standard deviation (full scale is 1); most priors divide their input
    by sqrt(sigma^2 + data_std^2)."""
    embedding: int = 32
    """The noise level is embedded in a vector of this length."""


class Prior(nn.Module, ABC):
    """p_sigma(x): the density of one source's waveform under p * N(0, sigma^2 I), at every noise level sigma.

    To add one: write one file with a frozen ``XConfig`` (a `NoiseConfig` with fields of its own and a method
    ``build``) and a final ``XPrior`` that implements the abstract methods, whose inputs were checked before;
    add ``XConfig`` to the union `vsep_ray.priors.PriorConfig`. The contract tests, the command line, the
    checkpoint loader and the sweeps find it there.

    Attributes:
        config: the frozen config that it was built from.
        sample_rate: Hz.
        channels: audio channels C.
        multiple: T must be a multiple of it (samples).
        noise_range: smallest and largest noise level it was built for.
        kind: what `log_prob` returns: an exact log density, a lower bound, or an estimate.
    """

    kind: Kind

    def __init__(self, config: Any, sample_rate: int, channels: int, multiple: int) -> None:
        super().__init__()
        self.config, self.sample_rate, self.channels, self.multiple = config, sample_rate, channels, multiple
        self.noise_range: tuple[float, float] = (config.noise_min, config.noise_max)

    def log_prob(self, x: Tensor, noise_std: Tensor) -> Tensor:
        """Returns the log density of x at noise level noise_std, nats summed over C and T.

        Shape: (B, C, T), (B,) -> (B,).

        Raises:
            ValueError: the channels are wrong, the length is no multiple of `multiple`, or a noise level lies
                outside `noise_range`.
        """
        self._check(x, noise_std)
        return self._log_prob(x, noise_std)

    @abstractmethod
    def _log_prob(self, x: Tensor, noise_std: Tensor) -> Tensor:
        """Returns what `log_prob` does. Shape: (B, C, T), (B,) -> (B,)."""

    @abstractmethod
    def score(self, x: Tensor, noise_std: Tensor) -> Tensor:
        """Returns the gradient of the log density in x. Shape: (B, C, T), (B,) -> (B, C, T)."""

    @torch.no_grad()
    def sample(self, num: int, length: int, temperature: float = 1.0, noise_std: float = 0.0) -> Tensor:
        """Returns draws from p_sigma at noise level ``noise_std``, or at the smallest one that the prior
        knows.

        Shape: -> (num, C, length).

        ``temperature`` 1 draws from the density; lower values sharpen it: the spread of every base variable
        (of a WaveNet, of the law of every next sample) shrinks by that factor, that of the noise too.

        Raises:
            ValueError: ``length`` (samples) is no multiple of `multiple`, or the noise level lies above
                `noise_range`.
        """
        low, high = self.noise_range
        if length % self.multiple:
            raise ValueError(f"length must be a multiple of {self.multiple} samples, got {length}")
        if noise_std > high:
            raise ValueError(f"noise_std must lie in [{low}, {high}], got {noise_std}")
        levels = torch.full((num,), max(noise_std, low)).to(next(self.parameters()))
        return self._draw(length, levels, temperature)

    @abstractmethod
    def _draw(self, length: int, noise_std: Tensor, temperature: float) -> Tensor:
        """Returns a draw at each of the noise levels. Shape: (B,) -> (B, C, length)."""

    def loss(self, x: Tensor) -> dict[str, Tensor]:
        """Returns what training minimises, under "loss", and other scalars to log. Every item draws its noise
        e ~ N(0, I) and its level sigma, log-uniform in `noise_range`.

        Shape: (B, C, T) clean crops -> scalars.
        """
        noise_std = draw_noise_levels(len(x), self.noise_range, x)
        return self._loss(x, per_item_noise(x, noise_std), noise_std)

    @abstractmethod
    def _loss(self, clean: Tensor, noisy: Tensor, noise_std: Tensor) -> dict[str, Tensor]:
        """Returns what `loss` does. Shape: (B, C, T), (B, C, T), (B,) -> scalars."""

    def _check(self, x: Tensor, noise_std: Tensor) -> None:
        if x.ndim != 3 or x.shape[1] != self.channels or x.shape[2] % self.multiple:
            raise ValueError(
                f"x must have shape (B, {self.channels}, multiple of {self.multiple}), got {tuple(x.shape)}; "
                f"crop or pad it to {math.ceil(x.shape[-1] / self.multiple) * self.multiple} samples"
            )
        low, high = self.noise_range
        known = (noise_std >= low * 0.999) & (noise_std <= high * 1.001)
        if noise_std.shape != x.shape[:1] or not known.all():
            raise ValueError(
                f"noise_std must have shape ({len(x)},) and lie in [{low}, {high}], got {noise_std}"
            )


class DifferentiablePrior(Prior):
    """A prior whose `log_prob` is differentiable in x, of which the score follows."""

    @override
    def score(self, x: Tensor, noise_std: Tensor) -> Tensor:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad(self.log_prob(x, noise_std).sum(), x)[0]


class ExactPrior(DifferentiablePrior):
    """A prior whose `log_prob` is exact and differentiable, of which score and loss follow."""

    kind = "exact"

    @override
    def _loss(self, clean: Tensor, noisy: Tensor, noise_std: Tensor) -> dict[str, Tensor]:
        """Returns -log p_sigma of the noisy waveform and its excess over the noise's entropy, in nats per
        sample.
        """
        nll = -self.log_prob(noisy, noise_std) / clean[0].numel()
        return {"loss": nll.mean(), "nats_above_noise": above_noise(nll, noise_std).mean().detach()}


def above_noise(nll: Tensor, noise_std: Tensor) -> Tensor:
    """Returns by how much -log p_sigma exceeds the noise's entropy 1/2 ln(2 pi e sigma^2), nats per sample.

    Shape: (B,), (B,) -> (B,).
    """
    return nll - noise_std.log() - 0.5 * (1 + LOG_2PI)


def unit_scale(noise_std: Tensor, data_std: float) -> Tensor:
    """Returns 1 / sqrt(sigma^2 + data_std^2), which brings a noisy waveform to unit level.

    Shape: (B,) -> (B,).
    """
    return torch.rsqrt(noise_std**2 + data_std**2)


def draw_noise_levels(num: int, noise_range: tuple[float, float], like: Tensor) -> Tensor:
    """Returns a noise level for each item, drawn log-uniformly from the range. Shape: -> (num,)."""
    low, high = map(math.log, noise_range)
    return torch.exp(random.uniform((num,), like) * (high - low) + low)


class NoiseEmbedding(nn.Module):
    """A learned embedding of log sigma. Shape: (B,) -> (B, size)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, size), nn.SiLU(), nn.Linear(size, size), nn.SiLU())

    def forward(self, noise_std: Tensor) -> Tensor:
        """Returns the embeddings. Shape: (B,) -> (B, size)."""
        level = noise_std.log()
        return self.net(torch.stack([level / 2, (level / 2) ** 2 / 4], -1))


def per_item_noise(x: Tensor, noise_std: Tensor) -> Tensor:
    """Returns x + noise_std * e with e ~ N(0, I). Shape: (B, C, T), (B,) -> (B, C, T)."""
    return x + noise_std[:, None, None] * random.normal(x.shape, x)
