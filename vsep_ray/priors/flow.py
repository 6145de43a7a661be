"""Normalizing flows over the waveform; NICE, RealNVP, Glow, FloWaveNet, WaveGlow are values of one config."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from vsep_ray.config import UserError
from vsep_ray.nn.bijections import (
    ActNorm,
    AdditiveCoupling,
    AffineCoupling,
    Bijection,
    InvertibleConv,
    Reverse,
    Squeeze,
)
from vsep_ray.nn.normal import LOG_2PI, normal
from vsep_ray.nn.wavenet import WaveNet
from vsep_ray.priors.prior import NoiseEmbedding, Prior, autograd_score, draw_noise_levels, per_item_noise


@dataclass(frozen=True)
class FlowConfig:
    """A flow: per block squeeze, ``steps`` of (ActNorm, channel mixing, coupling), some channels leave."""

    squeeze: tuple[int, ...] = (32,)
    """Samples folded into channels at the start of each block; as many blocks as entries."""
    steps: int = 8
    """Flow steps per block (the flow depth)."""
    split: float = 0.0
    """Fraction of channels that leave after each block but the last; 0: none."""
    coupling: Literal["affine", "additive"] = "affine"
    """Affine (RealNVP) or additive (NICE, volume-preserving) couplings."""
    mixing: Literal["conv", "reverse"] = "conv"
    """Invertible 1x1 convolution (Glow), or a fixed reversal (NICE, RealNVP)."""
    actnorm: bool = True
    """Data-dependent normalisation in front of every step."""
    width: int = 64
    """Channels of the coupling networks."""
    layers: int = 2
    """Gated layers of each coupling network."""
    embedding: int = 32
    """Length of the noise-level embedding."""
    data_std: float = 0.35
    """Rough standard deviation of the clean waveform; the input is divided by sqrt(sigma^2 + data_std^2)."""
    noise_min: float = 0.003
    """Smallest noise level (units of the waveform)."""
    noise_max: float = 1.0
    """Largest noise level (units of the waveform)."""

    def build(self, sample_rate: int, channels: int) -> "FlowPrior":
        """The untrained prior."""
        return FlowPrior(self, sample_rate, channels)


NICE = FlowConfig(squeeze=(32,), steps=4, coupling="additive", mixing="reverse", actnorm=True)
"""Dinh et al., 2015. Deviation: ActNorm in place of the one scaling layer at the end, WaveNet couplings."""
REAL_NVP = FlowConfig(squeeze=(4, 4, 4), steps=4, split=0.5, mixing="reverse")
"""Dinh et al., 2017. Deviation: ActNorm in place of batch normalisation."""
GLOW = FlowConfig(squeeze=(4, 4, 4), steps=8, split=0.5)
"""Kingma & Dhariwal, 2018, in one dimension."""
FLOWAVENET = FlowConfig(
    squeeze=(2, 2, 2, 2, 2, 2, 2, 2), steps=6, split=0.5, mixing="reverse", width=64, layers=2
)
"""Kim et al., 2019. Deviation: half of the channels leave after every block, not after every third."""
WAVEGLOW = FlowConfig(squeeze=(8, 1, 1), steps=4, split=0.25, layers=8)
"""Prenger et al., 2019: squeeze 8, two channels leave after every four steps."""


class FlowPrior(Prior):
    """log p_sigma(x) = log N(z; 0, I) + log |det dz/dx|, z = f(x; sigma): exact.

    Channels that leave early have a normal density whose mean and scale depend on the channels that stay.
    Every coupling sees log sigma. Training draws sigma log-uniformly in [noise_min, noise_max] and maximises
    log p_sigma(x + sigma e), e ~ N(0, I).

    Raises:
        UserError: a squeeze that leaves an odd number of channels.
    Reference: Kingma & Dhariwal, Glow, 2018 (architecture, figure 2); Kim et al., SoftFlow, 2020 (noise level
    as an input, section 3).
    """

    kind = "exact"

    def __init__(self, config: FlowConfig, sample_rate: int, channels: int) -> None:
        super().__init__()
        self.config, self.sample_rate, self.channels = config, sample_rate, channels
        self.multiple = math.prod(config.squeeze)
        self.noise_range = (config.noise_min, config.noise_max)
        self.embedding = NoiseEmbedding(config.embedding)
        self.blocks, self.split_priors = nn.ModuleList(), nn.ModuleList()
        self.kept: list[int] = []
        for i, factor in enumerate(config.squeeze):
            width = channels * factor
            if width % 2:
                raise UserError(f"couplings halve channels; make the first squeeze of {config.squeeze} even")
            channels = width if i == len(config.squeeze) - 1 else width - _leaving(width, config.split)
            self.blocks.append(nn.ModuleList(_block(config, factor, width)))
            self.split_priors.append(_split_prior(config, channels, width - channels))
            self.kept.append(channels)

    def _scale(self, noise_std: Tensor) -> Tensor:
        return torch.rsqrt(noise_std**2 + self.config.data_std**2)

    def log_prob(self, x: Tensor, noise_std: Tensor) -> Tensor:
        """See `Prior.log_prob`; exact and differentiable."""
        self.check(x, noise_std)
        context, scale = self.embedding(noise_std), self._scale(noise_std)
        total = scale.log() * x[0].numel()
        x = x * scale[:, None, None]
        for block, prior, kept in zip(self.blocks, self.split_priors, self.kept, strict=True):
            for layer in block:  # type: ignore[attr-defined]
                x, ladj = layer(x, context)
                total = total + ladj
            x, leaving = x[:, :kept], x[:, kept:]
            if isinstance(prior, WaveNet):
                mean, log_std = prior(x, context).chunk(2, 1)
                total = total + normal(mean, log_std.exp()).log_prob(leaving).sum((1, 2))
        return total - 0.5 * (x**2 + LOG_2PI).sum((1, 2))

    def score(self, x: Tensor, noise_std: Tensor) -> Tensor:
        """See `Prior.score`; exact, by automatic differentiation."""
        return autograd_score(self, x, noise_std)

    @torch.no_grad()
    def sample(self, num: int, length: int) -> Tensor:
        """See `Prior.sample`: one pass through the inverse at noise level noise_min."""
        if length % self.multiple:
            raise ValueError(f"length must be a multiple of {self.multiple} samples, got {length}")
        noise_std = torch.full((num,), self.config.noise_min).to(next(self.parameters()))
        context = self.embedding(noise_std)
        x = torch.randn(num, self.kept[-1], length // self.multiple).to(noise_std)
        for block, prior in zip(reversed(self.blocks), reversed(self.split_priors), strict=True):
            if isinstance(prior, WaveNet):
                mean, log_std = prior(x, context).chunk(2, 1)
                x = torch.cat([x, mean + torch.randn(mean.shape).to(mean) * torch.exp(log_std)], 1)
            for layer in reversed(block):  # type: ignore[call-overload]
                x = layer.inverse(x, context)
        return x / self._scale(noise_std)[:, None, None]

    def loss(self, x: Tensor, step: int) -> dict[str, Tensor]:
        """-log p_sigma(x + sigma e), and its excess over the entropy of the noise, in nats per sample."""
        noise_std = draw_noise_levels(len(x), self.noise_range, x)
        nll = -self.log_prob(per_item_noise(x, noise_std), noise_std) / x[0].numel()
        excess = nll - noise_std.log() - 0.5 * (1 + LOG_2PI)
        return {"loss": nll.mean(), "nats_above_noise": excess.mean().detach()}


def _block(config: FlowConfig, factor: int, channels: int) -> Iterator[Bijection]:
    coupling = AffineCoupling if config.coupling == "affine" else AdditiveCoupling
    yield Squeeze(factor)
    for _ in range(config.steps):
        if config.actnorm:
            yield ActNorm(channels)
        yield InvertibleConv(channels) if config.mixing == "conv" else Reverse()
        yield coupling(channels, config.width, config.layers, config.embedding)


def _leaving(channels: int, fraction: float) -> int:
    # even numbers only: couplings halve the channels
    return 2 * max(1, round(fraction * channels / 2)) if fraction and channels > 2 else 0


def _split_prior(config: FlowConfig, kept: int, leaving: int) -> nn.Module:
    return WaveNet(kept, 2 * leaving, config.width, 1, config.embedding) if leaving else nn.Identity()
