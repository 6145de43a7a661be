"""train_priors.py and train_separator.py have their configs and presets here."""

from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from vsep_ray.batches.augment import REMIXING, AugmentConfig
from vsep_ray.config import option, short_name
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
    """A training run takes this from the cluster; it changes neither what is learned, nor the run's name."""

    num_workers: int = 0
    """The run has this number of data-parallel workers. At 0 a separator takes all GPUs, or all CPUs where
    there is none as long as each has 8 items of a batch, and a prior takes one. A cluster that grows on
    demand grows to the number."""
    min_workers: int = 0
    """The run goes on with at least this number of workers while nodes are lost or not there yet. The workers
    that there are divide the batch. At 0 it waits for all."""
    device: Device = "auto"
    """The run trains here; auto means GPUs if the cluster has any now. Say gpu where they come on demand."""
    cpus_per_worker: float = 1.0
    """Each worker takes this number of logical CPUs, reading beside it included."""
    cache_mib: int = 1_024
    """Each worker has this memory (MiB) for resident crops; a larger shard streams through it."""
    max_failures: int = 3
    """A run survives this number of worker failures, and goes on from the last checkpoint each time."""


JOINING = ("crops", "crop_weights", "duplicates")
"""These fields say which crops a job trains on."""


@dataclass(frozen=True)
class CropsJobConfig(JobConfig):
    """A job that trains on the crops of a store has these fields."""

    crops: tuple[str, ...] = option((), role="input")
    """The crops are those of this store, or of several, which are joined. Default: the latest in the storage;
    with presets toy and smoke it is made if there is none."""
    crop_weights: tuple[float, ...] = option((), role="manner")
    """Clips of a source are drawn from the stores that have it in these proportions, one number per store.
    Default: as many from each as it has, as if all lay in one."""
    duplicates: Literal["refuse", "drop"] = option("refuse", role="manner")
    """A song that one store trains on and another one holds out (valid, test) stops the job, or is dropped
    from the training."""
    resources: ResourcesConfig = option(default_factory=ResourcesConfig, role="resource")

    def idle(self) -> dict[str, str]:
        """Returns what acts only where several stores are joined, whose name then tells of it."""
        why = "one crop store is read as it is; name several by --crops beside it"
        return dict.fromkeys(("crop_weights", "duplicates"), why) if len(self.crops) < 2 else {}


@dataclass(frozen=True)
class TrainingConfig(CropsJobConfig):
    """A job that trains one kind of model has these fields."""

    augment: AugmentConfig = field(default_factory=AugmentConfig)
    length: int = 0
    """Training crops have this number of samples, cut at random from the stored ones; 0 takes all of a
    crop."""


SMOKE_FIT = FitConfig(steps=60, batch_size=16, log_every=20, checkpoint_every=30)


@dataclass(frozen=True)
class TrainPriorsConfig(TrainingConfig):
    """Trains one prior per source, side by side."""

    sources: tuple[str, ...] = ()
    """These sources get a prior. Default: all of the crop store."""
    prior: PriorConfig = field(default_factory=FlowConfig)
    fit: FitConfig = field(default_factory=lambda: FitConfig(steps=1_000, batch_size=32, learning_rate=1e-3))
    noise_stds: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
    """Priors are compared at these noise levels (units of the waveform)."""
    gate: float = 0.7
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
    mean_weight: float = 1.0
    """The posterior mean's own likelihood (one variance per item and source) has this weight beside Sleep's
    and Supervised's."""
    force: bool = option(False, role="manner")
    """Training begins even if the priors did not pass their gate."""

    @property
    def asks_priors(self) -> bool:
        """Whether frozen priors are needed: regime A has their dreams, and self-training may ask them."""
        return self.regime == "A" or self.self_training.asks_priors

    def idle(self) -> dict[str, str]:
        """Returns what the regime and the objective do not look at."""
        paired = (
            "regime C learns from mixtures with their own sources; say --regime B or --regime A beside it"
        )
        dreams = "only regime A learns from the priors' dreams; say --regime A beside it"
        unasked = "nothing asks the priors; say --regime A or --self-training wake beside it"
        exact = "under exact mixing it only rescales the loss; say --separator.noise-std 0.02 beside it"
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
        dreams=DreamConfig(256),
        force=True,
    ),
    "music": TrainSeparatorConfig(
        preset="music",
        separator=SeparatorConfig(
            backbone=SpectrogramUNetConfig(n_fft=4_096, hop=1_024, width=768, levels=3, blocks=4)
        ),
        fit=FitConfig(steps=200_000, batch_size=64, learning_rate=3e-4, checkpoint_every=2_000),
        augment=AugmentConfig(level_lufs=-20, gain_db=9, polarity=True, channel_swap=True, silence=0.15),
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
