"""p(s_k): one density over the waveform of one source, one file and one name each."""

from vsep_ray.priors.flow import FlowConfig
from vsep_ray.priors.prior import Prior
from vsep_ray.priors.score import ScoreConfig
from vsep_ray.priors.spectrogram import SpectrogramGlowConfig
from vsep_ray.priors.vae import VAEConfig
from vsep_ray.priors.vqvae import VQVAEConfig
from vsep_ray.priors.wavenet import WaveNetConfig

# The union of all priors: a new one is one file and one name here.
PriorConfig = (
    FlowConfig | WaveNetConfig | VAEConfig | VQVAEConfig
    | SpectrogramGlowConfig | ScoreConfig
)  # fmt: skip

__all__ = [
    "FlowConfig",
    "Prior",
    "PriorConfig",
    "ScoreConfig",
    "SpectrogramGlowConfig",
    "VAEConfig",
    "VQVAEConfig",
    "WaveNetConfig",
]
