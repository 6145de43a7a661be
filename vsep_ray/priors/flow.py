"""Normalizing flows over the waveform; NICE, RealNVP, Glow, FloWaveNet, WaveGlow are values of one config."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from typing_extensions import override

from vsep_ray.nn.flow import MultiScaleFlow
from vsep_ray.priors.prior import ExactPrior, NoiseEmbedding, unit_scale


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
    checkpointing: bool = False
    """Recompute flow steps in the backward pass: memory of one step, for a third more time."""
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


class FlowPrior(ExactPrior):
    """log p_sigma(x) = log N(z; 0, I) + log |det dz/dx|, z = f(x; sigma): exact (`MultiScaleFlow`).

    Every coupling sees log sigma. Training draws sigma log-uniformly in [noise_min, noise_max] and maximises
    log p_sigma(x + sigma e), e ~ N(0, I).

    Raises:
        UserError: a squeeze that leaves an odd number of channels.
    Reference: Kingma & Dhariwal, Glow, 2018 (architecture, figure 2); Kim et al., SoftFlow, 2020 (noise level
    as an input, section 3).
    """

    def __init__(self, config: FlowConfig, sample_rate: int, channels: int) -> None:
        super().__init__()
        self.config, self.sample_rate, self.channels = config, sample_rate, channels
        self.multiple = math.prod(config.squeeze)
        self.noise_range = (config.noise_min, config.noise_max)
        self.embedding = NoiseEmbedding(config.embedding)
        self.flow = MultiScaleFlow(
            channels, config.squeeze, config.steps, config.split, config.coupling, config.mixing,
            config.actnorm, config.width, config.layers, config.embedding, config.checkpointing,
        )  # fmt: skip

    @override
    def log_prob(self, x: Tensor, noise_std: Tensor) -> Tensor:
        self.check(x, noise_std)
        return self.flow.log_prob(x, self.embedding(noise_std), unit_scale(noise_std, self.config.data_std))

    @override
    @torch.no_grad()
    def sample(self, num: int, length: int, temperature: float = 1.0, noise_std: float = 0.0) -> Tensor:
        self.check_length(length)
        levels = self.levels(num, noise_std)
        scale = unit_scale(levels, self.config.data_std)
        return self.flow.sample(length, self.embedding(levels), scale, temperature)
