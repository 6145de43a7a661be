"""q(s_1..s_K | m): the one final separator, a backbone under a posterior family."""

from dataclasses import dataclass, field

from torch import Tensor, nn
from torch.distributions import Distribution

from vsep_ray.config import UserError
from vsep_ray.mixing import LinearMixing
from vsep_ray.separators.band_split import BandSplitConfig
from vsep_ray.separators.demucs import DemucsConfig
from vsep_ray.separators.posterior import ConditionedNormalConfig, PosteriorConfig
from vsep_ray.separators.spectrogram_unet import SpectrogramUNetConfig
from vsep_ray.separators.wave_unet import WaveUNetConfig
from vsep_ray.separators.wavenet import NonCausalWaveNetConfig

# The union of all backbones: a new one is one file and one name here.
BackboneConfig = (
    SpectrogramUNetConfig | BandSplitConfig
    | NonCausalWaveNetConfig | WaveUNetConfig | DemucsConfig
)  # fmt: skip

SILENCE = 1e-4  # level (RMS) below which a chunk is not amplified any further: -80 dBFS


@dataclass(frozen=True)
class SeparatorConfig:
    """All that it takes to rebuild a separator."""

    sources: tuple[str, ...] = ()
    """The K sources have these names, in the order of the source axis. Default: those of the crop store."""
    sample_rate: int = 0
    """The separator works at this sample rate (Hz). Default: that of the crop store."""
    channels: int = 0
    """The separator works on this number of audio channels. Default: those of the crop store."""
    scales: tuple[float, ...] = ()
    """The mixture is m = sum_k a_k s_k with these a_k. Default: those of the crop store."""
    noise_std: float = 0.0
    """The mixing adds noise of this standard deviation (full scale is 1); at 0 the sources sum to the mixture
    exactly."""
    backbone: BackboneConfig = field(default_factory=SpectrogramUNetConfig)
    posterior: PosteriorConfig = field(default_factory=ConditionedNormalConfig)


class Separator(nn.Module):
    """A module from a mixture to the distribution over its sources; levels, padding and cropping are its own
    affair.

    Each mixture is divided by its RMS over channels and samples before the backbone, and the posterior is
    scaled back, so that the same music at another level gives the same stems at that level. Use it chunk by
    chunk through `vsep_ray.chunking.overlap_add` for any length.

    Attributes:
        sources, sample_rate (Hz), channels, multiple (samples): as in the config and the backbone.
        mixing: the `LinearMixing` that it was trained for.

    Shape: (B, C, T) -> batch (B,), event (K, C, T), any T >= 1.

    Raises:
        UserError: the numbers of scales and sources differ.
    """

    def __init__(self, config: SeparatorConfig) -> None:
        super().__init__()
        if len(config.scales) != len(config.sources):
            raise UserError(f"expected one scale per source {config.sources}, got scales {config.scales}")
        self.config, self.sources = config, config.sources
        self.sample_rate, self.channels = config.sample_rate, config.channels
        self.mixing = LinearMixing(config.scales, config.noise_std)
        self.backbone = config.backbone.build(len(config.sources), config.channels)
        self.multiple = self.backbone.multiple

    def forward(self, mixture: Tensor) -> Distribution:
        """Returns q(s | m).

        Raises:
            ValueError: the mixture has another shape or channel count.
        """
        if mixture.ndim != 3 or mixture.shape[1] != self.channels or mixture.shape[2] == 0:
            raise ValueError(
                f"mixture must have shape (B, {self.channels}, T >= 1), got {tuple(mixture.shape)}"
            )
        level = (mixture**2).mean((1, 2), keepdim=True).sqrt().clamp_min(SILENCE)
        length = mixture.shape[-1]
        padded = nn.functional.pad(mixture / level, (0, -length % self.multiple))
        parameters = self.backbone(padded)[..., :length]
        return self.config.posterior.posterior(parameters, mixture, level, self.mixing)
