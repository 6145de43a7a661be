"""train_priors.py and train_separator.py: their configs and presets."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from vsep_ray.config import option, short_name
from vsep_ray.crops.batches import AugmentConfig
from vsep_ray.dreaming import DreamConfig
from vsep_ray.inference import RefineConfig
from vsep_ray.objectives import NoneConfig, RemixConfig, SelfTrainingConfig
from vsep_ray.presets.job import Device, JobConfig
from vsep_ray.priors import (
    FlowConfig,
    PriorConfig,
    ScoreConfig,
    SpectrogramGlowConfig,
    VAEConfig,
    VQVAEConfig,
    WaveNetConfig,
)
from vsep_ray.schedules import Schedule
from vsep_ray.separators import SeparatorConfig, SpectrogramUNetConfig
from vsep_ray.training import FitConfig


@dataclass(frozen=True)
class ResourcesConfig:
    """What a training run takes from the cluster; it does not change what is learned, nor the name of the
    run."""

    num_workers: int = 0
    """Data-parallel workers. 0: for a separator all GPUs, or up to 2 CPUs where there is none; for a
    prior one. A cluster that grows on demand grows to so many."""
    min_workers: int = 0
    """Fewest workers to go on with while nodes are lost or not there yet; the batch is divided among those
    that there are. 0: wait for all."""
    device: Device = "auto"
    """Where to train; auto: on GPUs if the cluster has any now. Say gpu where they come on demand."""
    cpus_per_worker: float = 1.0
    """Logical CPUs per worker, reading beside it included."""
    cache_mib: int = 1_024
    """Memory (MiB) per worker for resident crops; a larger shard streams through it."""
    max_failures: int = 3
    """Worker failures that a run survives, each going on from the last checkpoint."""


SMOKE_FIT = FitConfig(steps=60, batch_size=16, log_every=20, checkpoint_every=30)


@dataclass(frozen=True)
class TrainPriorsConfig(JobConfig):
    """Train one prior per source, side by side."""

    crops: str = option("", role="input")
    """Crop store. Default: the latest in the storage; with presets toy and smoke it is made if there is
    none."""
    sources: tuple[str, ...] = ()
    """Sources to train. Default: all of the crop store."""
    prior: PriorConfig = field(default_factory=FlowConfig)
    fit: FitConfig = field(default_factory=lambda: FitConfig(steps=1_000, batch_size=32, learning_rate=1e-3))
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    length: int = 0
    """Samples per training crop, cut at random from the stored ones; 0: all of a stored crop."""
    noise_stds: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
    """Noise levels at which priors are compared (units of the waveform)."""
    gate: float = 0.7
    """Smallest per-crop accuracy, at the best noise level, with which a prior counts as discriminative."""
    resources: ResourcesConfig = option(default_factory=ResourcesConfig, role="resource")

    def idle(self) -> dict[str, str]:
        """A prior learns silence from clips that are silent."""
        return {"augment.silence": "it silences sources of a remix; train_separator.py has it"}


def _small(prior: PriorConfig, steps: int, batch_size: int, learning_rate: float) -> TrainPriorsConfig:
    fit = FitConfig(steps, batch_size, learning_rate, log_every=100, checkpoint_every=steps // 2)
    return TrainPriorsConfig(preset=f"small-{short_name(type(prior))}", prior=prior, fit=fit)


SMALL_PRIORS = [
    _small(FlowConfig(steps=8, width=64), 5_000, 32, 2e-3),
    _small(WaveNetConfig(), 1_800, 16, 3e-3),
    _small(VAEConfig(), 4_400, 32, 2e-3),
    _small(VQVAEConfig(), 580, 16, 3e-3),
    _small(SpectrogramGlowConfig(), 2_500, 32, 2e-3),
    _small(ScoreConfig(), 8_000, 32, 2e-3),
]
"""Every kind on toy waves of 8 kHz, 1,024 samples, 220-880 Hz, in minutes on two CPU cores."""

FULL_PRIORS = [
    replace(_small(WaveNetConfig(layers=10, cycle=10), 1_000, 8, 3e-3), preset="full-wavenet", length=2_048),
    replace(_small(ScoreConfig(n_fft=512, hop=128), 4_000, 16, 2e-3), preset="full-score"),
]
"""The two kinds that regime A wants, on toy waves of 16 kHz, 4,096 samples, all 88 keys."""

TRAIN_PRIORS = {
    "toy": TrainPriorsConfig(),
    "smoke": TrainPriorsConfig(
        preset="smoke", fit=SMOKE_FIT, prior=FlowConfig(squeeze=(16,), steps=3, width=32, layers=2)
    ),
    "laptop": TrainPriorsConfig(
        preset="laptop",
        prior=FlowConfig(data_std=0.1, noise_min=0.001),
        fit=FitConfig(steps=500, batch_size=16, learning_rate=1e-3, checkpoint_every=250),
        augment=AugmentConfig(level_db=-20, gain_db=9, polarity=True),
        length=8_192,
    ),
    "music": TrainPriorsConfig(
        preset="music",
        prior=FlowConfig(squeeze=(32, 2, 2), steps=8, split=0.5, data_std=0.1),
        fit=FitConfig(steps=200_000, batch_size=64, learning_rate=3e-4, checkpoint_every=2_000),
        augment=AugmentConfig(level_db=-20, gain_db=9, polarity=True, channel_swap=True),
        length=65_536,
    ),
}

TRAIN_PRIORS |= {config.preset: config for config in SMALL_PRIORS + FULL_PRIORS}

Regime = Literal["A", "B", "C"]
AUGMENTATIONS = tuple(f"augment.{name}" for name in ("gain_db", "polarity", "channel_swap", "silence"))
"""What a paired mixture is left without."""


@dataclass(frozen=True)
class TrainSeparatorConfig(JobConfig):
    """Train q(s | m) under a supervision regime."""

    crops: str = option("", role="input")
    """Crop store. Default: the latest in the storage."""
    priors: str = option("", role="input")
    """Folder with one checkpoint per source, or the run id of train_priors.py. Default: the latest in the
    storage; B without self-training and C need none."""
    regime: Regime = "B"
    """A: priors and unlabelled mixtures only. B: also single-source clips, mixed from different songs. C:
    paired (yardstick)."""
    start: str = option("", role="input")
    """Separator to start from: a folder or models:/name@alias. Default: random weights."""
    separator: SeparatorConfig = field(default_factory=SeparatorConfig)
    fit: FitConfig = field(default_factory=lambda: FitConfig(steps=1_500, batch_size=64, learning_rate=2e-3))
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    length: int = 0
    """Samples per training crop, cut at random from the stored ones; 0: all of a stored crop."""
    dreams: DreamConfig = field(default_factory=DreamConfig)
    self_training: SelfTrainingConfig = field(default_factory=NoneConfig)
    """What learns from unlabelled mixtures beside Sleep. none: nothing. wake: the ELBO under the priors.
    remix: a teacher's estimates, mixed anew."""
    mean_weight: float = 1.0
    """Weight of the posterior mean's own likelihood (one variance per item and source) beside Sleep's and
    Supervised's."""
    force: bool = option(False, role="manner")
    """Train even though the priors did not pass their gate."""
    resources: ResourcesConfig = option(default_factory=ResourcesConfig, role="resource")

    @property
    def asks_priors(self) -> bool:
        """Whether frozen priors are needed: regime A dreams of them, and self-training may ask them."""
        return self.regime == "A" or self.self_training.asks_priors

    def idle(self) -> dict[str, str]:
        """What the regime and the objective do not look at."""
        paired = (
            "regime C learns from mixtures with their own sources; say --regime B or --regime A beside it"
        )
        dreams = "only regime A learns from the priors' dreams; say --regime A beside it"
        unasked = "nothing asks the priors; say --regime A or --self-training wake beside it"
        exact = "under exact mixing it only rescales the loss; say --separator.noise-std 0.02 beside it"
        found = {} if self.regime == "A" else {"dreams": dreams}
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
"""Regime A: dreams of WaveNets, a teacher's estimates corrected by score models; name both sets of priors by
--dreams.priors and --priors."""

SMALL_SEPARATORS = [
    _toy_separator("small", "A", 1_400, **DREAMING),
    _toy_separator("small", "B", 1_500),
    _toy_separator("small", "C", 1_500),
]
"""Toy waves of 8 kHz, 1,024 samples, 220-880 Hz."""

_FULL = SeparatorConfig(backbone=SpectrogramUNetConfig(n_fft=1_024, hop=256, width=256))
FULL_SEPARATORS = [
    _toy_separator("full", "A", 2_000, 32, separator=_FULL, **DREAMING),
    _toy_separator("full", "B", 6_000, 32, separator=_FULL),
    _toy_separator("full", "C", 6_000, 32, separator=_FULL),
]
"""Toy waves of 16 kHz, 4,096 samples, all 88 keys."""

SMOKE_BACKBONE = SpectrogramUNetConfig(n_fft=128, hop=64, width=48, blocks=1)
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
        augment=AugmentConfig(level_db=-20, gain_db=9, polarity=True, silence=0.15),
        length=16_384,
        dreams=DreamConfig(256),
        force=True,
    ),
    "music": TrainSeparatorConfig(
        preset="music",
        separator=SeparatorConfig(
            backbone=SpectrogramUNetConfig(n_fft=4_096, hop=1_024, width=768, levels=3, blocks=4)
        ),
        fit=FitConfig(steps=200_000, batch_size=64, learning_rate=3e-4, checkpoint_every=2_000),
        augment=AugmentConfig(level_db=-20, gain_db=9, polarity=True, channel_swap=True, silence=0.15),
    ),
}

TRAIN_SEPARATOR |= {config.preset: config for config in SMALL_SEPARATORS + FULL_SEPARATORS}
