"""A Glow over time and frequency that is an exact density of the waveform."""

from dataclasses import dataclass

from torch import Tensor
from typing_extensions import override

from vsep_ray.config import UserError
from vsep_ray.nn.flow import MultiScaleFlow
from vsep_ray.priors.flow import DepthConfig
from vsep_ray.priors.prior import ExactPrior, NoiseEmbedding, unit_scale
from vsep_ray.transforms.mdct import imdct, mdct


@dataclass(frozen=True)
class SpectrogramGlowConfig(DepthConfig):
    """A Glow over the frames of an orthonormal lapped cosine transform; the bins are its channels."""

    bins: int = 64
    """The transform has this number of frequency bins, which is also the hop of its frames in samples."""

    def build(self, sample_rate: int, channels: int) -> "SpectrogramGlowPrior":
        """Returns the untrained prior."""
        return SpectrogramGlowPrior(self, sample_rate, channels)


class SpectrogramGlowPrior(ExactPrior):
    """log p_sigma(x) = log p_sigma(X), X the modified discrete cosine transform of x: exact.

    The transform is orthonormal, so its log-determinant is 0 and white noise stays white. A density over
    magnitudes, as most spectrogram flows learn it, says nothing of the phase and is no density of the
    waveform; this one is.

    Raises:
        UserError: channels times bins is an odd number.
    Reference: Zhu et al., Music source separation with generative flow (InstGlow), 2022.
    Deviations: real lapped coefficients in place of magnitudes; bins are channels, so that every invertible
    1x1 convolution mixes all bins; the noise level is an input.
    """

    def __init__(self, config: SpectrogramGlowConfig, sample_rate: int, channels: int) -> None:
        super().__init__(config, sample_rate, channels, config.bins)
        if channels * config.bins % 2:
            raise UserError(f"couplings halve the bins; make their number even, got {config.bins}")
        self.embedding = NoiseEmbedding(config.embedding)
        self.flow = MultiScaleFlow(
            channels * config.bins, (1,), config.steps, 0.0, "affine", "conv", True, config.width,
            config.layers, config.embedding, config.checkpointing,
        )  # fmt: skip

    @override
    def _log_prob(self, x: Tensor, noise_std: Tensor) -> Tensor:
        spectrum, scale = mdct(x, self.config.bins).flatten(1, 2), unit_scale(noise_std, self.config.data_std)
        return self.flow.log_prob(spectrum, self.embedding(noise_std), scale)

    @override
    def _draw(self, length: int, noise_std: Tensor, temperature: float) -> Tensor:
        frames, scale = length // self.config.bins, unit_scale(noise_std, self.config.data_std)
        spectrum = self.flow.sample(frames, self.embedding(noise_std), scale, temperature)
        return imdct(spectrum.unflatten(1, (self.channels, -1)))
