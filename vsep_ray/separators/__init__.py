"""q(s | m): a backbone and a posterior family make a Separator."""

from vsep_ray.separators.band_split import BandSplitConfig
from vsep_ray.separators.demucs import DemucsConfig
from vsep_ray.separators.posterior import ConditionedNormalConfig, FactorisedNormalConfig, PosteriorConfig
from vsep_ray.separators.separator import BackboneConfig, Separator, SeparatorConfig
from vsep_ray.separators.spectrogram_unet import SpectrogramUNetConfig
from vsep_ray.separators.wave_unet import WaveUNetConfig
from vsep_ray.separators.wavenet import NonCausalWaveNetConfig

__all__ = [
    "BackboneConfig",
    "BandSplitConfig",
    "ConditionedNormalConfig",
    "DemucsConfig",
    "FactorisedNormalConfig",
    "NonCausalWaveNetConfig",
    "PosteriorConfig",
    "Separator",
    "SeparatorConfig",
    "SpectrogramUNetConfig",
    "WaveUNetConfig",
]
