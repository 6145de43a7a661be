"""Normalizing flows over the waveform; NICE, RealNVP, Glow, FloWaveNet, WaveGlow are values of one config."""

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from typing_extensions import override

from vsep_ray.nn.flow import MultiScaleFlow
from vsep_ray.priors.prior import ExactPrior, NoiseConfig, NoiseEmbedding, unit_scale


@dataclass(frozen=True)
class DepthConfig(NoiseConfig):
    """What every flow's config has: its depth and the size of its coupling networks."""

    steps: int = 8
    """Each block runs this number of flow steps, the flow's depth."""
    width: int = 64
    """The coupling networks have this number of channels."""
    layers: int = 2
    """Each coupling network has this number of gated layers."""
    checkpointing: bool = False
    """Flow steps are computed again in the backward pass, which takes the memory of one step and a third more
    time."""


@dataclass(frozen=True)
class FlowConfig(DepthConfig):
    """A flow over the waveform: each block squeezes, runs ``steps`` of (ActNorm, channel mixing, coupling),
    and lets some channels leave.
    """

    squeeze: tuple[int, ...] = (32,)
    """Each block first folds this number of neighbouring samples into channels; each entry makes a
    block."""
    split: float = 0.0
    """This fraction of the channels leaves after each block but the last; at 0 none leaves."""
    coupling: Literal["affine", "additive"] = "affine"
    """Couplings scale and shift (affine, as in RealNVP), or only shift (additive, as in NICE)."""
    mixing: Literal["conv", "reverse"] = "conv"
    """An invertible 1x1 convolution mixes the channels (conv, as in Glow), or their order is reversed
    (reverse, as in NICE and RealNVP)."""
    actnorm: bool = True
    """Each step begins with a normalisation that starts at the statistics of the first batch."""

    @classmethod
    def named(cls) -> "dict[str, FlowConfig]":
        """Returns the flows of the literature: ``--prior glow``."""
        return NAMED

    def build(self, sample_rate: int, channels: int) -> "FlowPrior":
        """Returns the untrained prior."""
        return FlowPrior(self, sample_rate, channels)


NAMED = {
    # Dinh et al., 2015. Deviation: ActNorm in place of the one scaling layer at the end, WaveNet couplings.
    "nice": FlowConfig(squeeze=(32,), steps=4, coupling="additive", mixing="reverse", actnorm=True),
    # Dinh et al., 2017. Deviation: ActNorm in place of batch normalisation.
    "realnvp": FlowConfig(squeeze=(4, 4, 4), steps=4, split=0.5, mixing="reverse"),
    # Kingma & Dhariwal, 2018, in one dimension.
    "glow": FlowConfig(squeeze=(4, 4, 4), steps=8, split=0.5),
    # Kim et al., 2019. Deviation: half of the channels leave after every block, not after every third.
    "flowavenet": FlowConfig(
        squeeze=(2, 2, 2, 2, 2, 2, 2, 2), steps=6, split=0.5, mixing="reverse", width=64, layers=2
    ),
    # Prenger et al., 2019: squeeze 8, two channels leave after every four steps.
    "waveglow": FlowConfig(squeeze=(8, 1, 1), steps=4, split=0.25, layers=8),
}
"""The flows of the literature, by their names on the command line."""


class FlowPrior(ExactPrior):
    """log p_sigma(x) = log N(z; 0, I) + log |det dz/dx|, z = f(x; sigma): exact (`MultiScaleFlow`).

    Every coupling sees log sigma. Training draws sigma log-uniformly in [noise_min, noise_max] and maximises
    log p_sigma(x + sigma e), e ~ N(0, I).

    Raises:
        UserError: the first squeeze leaves an odd number of channels.
    Reference: Kingma & Dhariwal, Glow, 2018 (architecture, figure 2); Kim et al., SoftFlow, 2020 (noise level
    as an input, section 3).
    """

    def __init__(self, config: FlowConfig, sample_rate: int, channels: int) -> None:
        super().__init__(config, sample_rate, channels, math.prod(config.squeeze))
        self.embedding = NoiseEmbedding(config.embedding)
        self.flow = MultiScaleFlow(
            channels, config.squeeze, config.steps, config.split, config.coupling, config.mixing,
            config.actnorm, config.width, config.layers, config.embedding, config.checkpointing,
        )  # fmt: skip

    @override
    def _log_prob(self, x: Tensor, noise_std: Tensor) -> Tensor:
        return self.flow.log_prob(x, self.embedding(noise_std), unit_scale(noise_std, self.config.data_std))

    @override
    def _draw(self, length: int, noise_std: Tensor, temperature: float) -> Tensor:
        scale = unit_scale(noise_std, self.config.data_std)
        return self.flow.sample(length, self.embedding(noise_std), scale, temperature)
