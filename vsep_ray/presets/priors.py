"""train_priors.py has its config and presets here."""

from dataclasses import dataclass, field, replace

from vsep_ray.batches.augment import REMIXING, AugmentConfig
from vsep_ray.config import option, short_name
from vsep_ray.presets.training import SMOKE_FIT, TrainingConfig
from vsep_ray.priors import (
    FlowConfig,
    PriorConfig,
    ScoreConfig,
    SpectrogramGlowConfig,
    VAEConfig,
    VQVAEConfig,
    WaveNetConfig,
)
from vsep_ray.training import FitConfig


@dataclass(frozen=True)
class TrainPriorsConfig(TrainingConfig):
    """Trains one prior per source, side by side."""

    sources: tuple[str, ...] = ()
    """These sources get a prior. Default: all of the crop store."""
    prior: PriorConfig = field(default_factory=FlowConfig)
    fit: FitConfig = field(default_factory=lambda: FitConfig(steps=1_000, batch_size=32, learning_rate=1e-3))
    noise_stds: tuple[float, ...] = option((0.003, 0.01, 0.03, 0.1, 0.3, 1.0), above=0.0)
    """Priors are compared at these noise levels (units of the waveform)."""
    gate: float = option(0.7, least=0.0, most=1.0)
    """A prior counts as discriminative from this accuracy per crop on, at the best noise level."""

    def idle(self) -> dict[str, str]:
        """Returns what is done to a mixture, which a prior never sees."""
        why = "it is done to a mixture of sources; train_separator.py has it"
        return super().idle() | {f"augment.{name}": why for name in REMIXING}


def _small(prior: PriorConfig, steps: int, batch_size: int, learning_rate: float) -> TrainPriorsConfig:
    fit = FitConfig(steps, batch_size, learning_rate, log_every=100, checkpoint_every=steps // 2)
    return TrainPriorsConfig(preset=f"small-{short_name(type(prior))}", prior=prior, fit=fit)


TRAIN_PRIORS = {
    "toy": TrainPriorsConfig(),
    "smoke": TrainPriorsConfig(
        preset="smoke", fit=SMOKE_FIT, prior=FlowConfig(squeeze=(16,), steps=3, width=32, layers=2)
    ),
    "laptop": TrainPriorsConfig(
        preset="laptop",
        prior=FlowConfig(data_std=0.1, noise_min=0.001),
        fit=FitConfig(steps=500, batch_size=16, learning_rate=1e-3, checkpoint_every=250),
        augment=AugmentConfig(level_lufs=-20, gain_db=9, polarity=True),
        length=8_192,
    ),
    "music": TrainPriorsConfig(
        preset="music",
        prior=FlowConfig(squeeze=(32, 2, 2), steps=8, split=0.5, data_std=0.1),
        fit=FitConfig(steps=200_000, batch_size=64, learning_rate=3e-4, checkpoint_every=2_000),
        augment=AugmentConfig(level_lufs=-20, gain_db=9, polarity=True, channel_swap=True),
        length=65_536,
    ),
}

TRAIN_PRIORS |= {
    config.preset: config
    for config in (
        # every kind on toy waves of 8 kHz, 1,024 samples, 220-880 Hz, in minutes on two CPU cores
        _small(FlowConfig(steps=8, width=64), 5_000, 32, 2e-3),
        _small(WaveNetConfig(), 1_800, 16, 3e-3),
        _small(VAEConfig(), 4_400, 32, 2e-3),
        _small(VQVAEConfig(), 580, 16, 3e-3),
        _small(SpectrogramGlowConfig(), 2_500, 32, 2e-3),
        _small(ScoreConfig(), 8_000, 32, 2e-3),
        # the two kinds that regime A wants, on toy waves of 16 kHz, 4,096 samples, all 88 keys
        replace(
            _small(WaveNetConfig(layers=10, cycle=10), 1_000, 8, 3e-3), preset="full-wavenet", length=2_048
        ),
        replace(_small(ScoreConfig(n_fft=512, hop=128), 4_000, 16, 2e-3), preset="full-score"),
    )
}
