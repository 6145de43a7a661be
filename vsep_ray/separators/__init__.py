"""q(s | m): a backbone and a posterior family make a Separator."""

from vsep_ray.separators.posterior import ConditionedNormalConfig, FactorisedNormalConfig, PosteriorConfig
from vsep_ray.separators.separator import BackboneConfig, Separator, SeparatorConfig
from vsep_ray.separators.spectrogram_unet import SpectrogramUNetConfig

__all__ = [
    "BackboneConfig",
    "ConditionedNormalConfig",
    "FactorisedNormalConfig",
    "PosteriorConfig",
    "Separator",
    "SeparatorConfig",
    "SpectrogramUNetConfig",
]
