"""train_separator.py has its config and presets here."""

from dataclasses import dataclass, field, fields
from typing import Any, Literal

from vsep_ray.batches.augment import AugmentConfig
from vsep_ray.config import option
from vsep_ray.dreaming import DreamConfig
from vsep_ray.methods import RefineConfig
from vsep_ray.objectives import LogErrorConfig, NoneConfig, PointLossConfig, RemixConfig, SelfTrainingConfig
from vsep_ray.presets.training import SMOKE_FIT, TrainingConfig
from vsep_ray.schedules import Schedule
from vsep_ray.separators import BandSplitConfig, SeparatorConfig, SpectrogramUNetConfig
from vsep_ray.training import FitConfig

Regime = Literal["A", "B", "C"]
AUGMENTATIONS = tuple(f"augment.{f.name}" for f in fields(AugmentConfig) if f.name != "level_lufs")
"""A paired mixture is left without these augmentations."""


@dataclass(frozen=True)
class TrainSeparatorConfig(TrainingConfig):
    """Trains q(s | m) under a supervision regime."""

    priors: str = option("", role="input")
    """The priors are in this folder, one checkpoint per source, or have this run id of train_priors.py.
    Default: the latest in the storage; B without self-training and C need none."""
    regime: Regime = "B"
    """A learns from priors and unlabelled mixtures only. B has also single-source clips, mixed from different
    songs. C has mixtures with their sources, as a yardstick."""
    start: str = option("", role="input")
    """Training starts from this separator: a folder, models:/name@alias or `bundled`. Default: random
    weights."""
    separator: SeparatorConfig = field(default_factory=SeparatorConfig)
    fit: FitConfig = field(default_factory=lambda: FitConfig(steps=1_500, batch_size=64, learning_rate=2e-3))
    dreams: DreamConfig = field(default_factory=DreamConfig)
    self_training: SelfTrainingConfig = field(default_factory=NoneConfig)
    """This objective learns from unlabelled mixtures beside Sleep. none does not; wake climbs the ELBO under
    the priors; remix mixes a teacher's estimates anew."""
    point: PointLossConfig = field(default_factory=LogErrorConfig)
    """The posterior's mean has this loss beside the likelihood, in Sleep, Supervised and Remix. logerror: the
    logarithm of the squared error. absoluteerror: the absolute error."""
    force: bool = option(False, role="manner")
    """Training begins even if the priors did not pass their gate."""

    @property
    def asks_priors(self) -> bool:
        """Whether frozen priors are needed: regime A has their dreams, and self-training may ask them."""
        return self.regime == "A" or self.self_training.asks_priors

    def idle(self) -> dict[str, str]:
        """Returns what the regime and the objective do not look at."""
        paired = "regime C learns from mixtures with their own sources; take --regime B or A, or leave it out"
        dreams = "only regime A learns from the priors' dreams; take --regime A, or leave it out"
        unasked = "only regime A and --self-training wake ask priors; take one, or leave it out"
        exact = (
            "under exact mixing it only rescales the loss; add --separator.noise-std 0.02, or leave it out"
        )
        found = super().idle() | ({} if self.regime == "A" else {"dreams": dreams})
        found |= {} if self.asks_priors else {"priors": unasked, "force": unasked}
        if self.regime == "C":
            return found | dict.fromkeys(("self_training", *AUGMENTATIONS), paired)
        needs = () if self.separator.noise_std else self.self_training.needs_noise
        return found | {f"self_training.{name}": exact for name in needs}


def _toy_separator(
    size: str, regime: Regime, steps: int, batch_size: int = 64, **changes: Any
) -> TrainSeparatorConfig:
    fit = FitConfig(steps=steps, batch_size=batch_size, learning_rate=2e-3, checkpoint_every=steps // 2)
    return TrainSeparatorConfig(
        preset=f"{size}-{regime.lower()}", regime=regime, fit=fit, force=True, **changes
    )


DREAMING: dict[str, Any] = {
    "augment": AugmentConfig(gain_db=6),
    "dreams": DreamConfig(3_072, temperatures=(0.1, 0.2, 0.4), sigma=0.03),
    "self_training": RemixConfig(
        sleep_fraction=Schedule(1.0, 0.25, 600), refinement=RefineConfig(sigma=0.1, steps=4, step_size=0.3)
    ),
}
"""Regime A has dreams of WaveNets, and a teacher's estimates corrected by score models; name both sets of
priors by --dreams.priors and --priors."""

_FULL = SeparatorConfig(backbone=SpectrogramUNetConfig(n_fft=1_024, hop=256, width=256))
SMOKE_BACKBONE = SpectrogramUNetConfig(n_fft=128, hop=64, width=48, blocks=1)
MUSIC = LogErrorConfig(likelihood=0.1, spread_only=True, active_db=30, silent_db=10)
"""What is paid for silence is a reason to say "silent" when in doubt: music has many silent sources."""
TRAIN_SEPARATOR = {
    "toy": TrainSeparatorConfig(),
    "smoke": TrainSeparatorConfig(
        preset="smoke",
        fit=SMOKE_FIT,
        separator=SeparatorConfig(backbone=SMOKE_BACKBONE),
        dreams=DreamConfig(64),
        force=True,
    ),
    "laptop": TrainSeparatorConfig(
        preset="laptop",
        separator=SeparatorConfig(
            backbone=SpectrogramUNetConfig(n_fft=1_024, hop=256, width=256, levels=2, blocks=3)
        ),
        fit=FitConfig(steps=1_000, batch_size=16, learning_rate=1e-3, checkpoint_every=250),
        augment=AugmentConfig(level_lufs=-20, gain_db=9, polarity=True, silence=0.15),
        length=16_384,
        point=MUSIC,
        dreams=DreamConfig(256),
        force=True,
    ),
    "band-b": TrainSeparatorConfig(
        preset="band-b",
        separator=SeparatorConfig(backbone=BandSplitConfig()),
        fit=FitConfig(
            steps=40_000,
            batch_size=4,
            learning_rate=1e-3,
            decay=2_000,
            ema=0.999,
            slow_ema=0.9998,
            micro_batch=1,
            log_every=20,
            checkpoint_every=200,
        ),
        augment=AugmentConfig(
            level_lufs=-23,
            level_spread=3,
            gain_db=3,
            polarity=True,
            channel_swap=True,
            silence=0.1,
            extra=(0.1,),
            speed=0.3,
            equaliser=0.4,
            saturation=0.15,
            compression=0.15,
            reverberation=0.25,
        ),
        length=131_072,
        point=MUSIC,
    ),
    "music": TrainSeparatorConfig(
        preset="music",
        separator=SeparatorConfig(
            backbone=SpectrogramUNetConfig(n_fft=4_096, hop=1_024, width=768, levels=3, blocks=4)
        ),
        fit=FitConfig(steps=200_000, batch_size=64, learning_rate=3e-4, checkpoint_every=2_000),
        augment=AugmentConfig(level_lufs=-20, gain_db=9, polarity=True, channel_swap=True, silence=0.15),
        point=MUSIC,
    ),
}

TRAIN_SEPARATOR |= {
    config.preset: config
    for config in (
        # toy waves of 8 kHz, 1,024 samples, 220-880 Hz
        _toy_separator("small", "A", 1_400, **DREAMING),
        _toy_separator("small", "B", 1_500),
        _toy_separator("small", "C", 1_500),
        # toy waves of 16 kHz, 4,096 samples, all 88 keys
        _toy_separator("full", "A", 2_000, 32, separator=_FULL, **DREAMING),
        _toy_separator("full", "B", 6_000, 32, separator=_FULL),
        _toy_separator("full", "C", 6_000, 32, separator=_FULL),
    )
}
