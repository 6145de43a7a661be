"""train_priors.py and train_separator.py: their configs and presets."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from vsep_ray.config import short_name
from vsep_ray.crops.batches import AugmentConfig
from vsep_ray.dreaming import DreamConfig
from vsep_ray.inference import RefineConfig
from vsep_ray.objectives.wake import Gradient
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

    crops: str = ""
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
    resources: ResourcesConfig = field(default_factory=ResourcesConfig)


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


@dataclass(frozen=True)
class TrainSeparatorConfig(JobConfig):
    """Train q(s | m) under a supervision regime."""

    crops: str = ""
    """Crop store. Default: the latest in the storage."""
    priors: str = ""
    """Folder with one checkpoint per source, or the run id of train_priors.py. Default: the latest in the
    storage; B without Wake and C need none."""
    regime: Regime = "B"
    """A: priors and unlabelled mixtures only. B: also single-source clips, mixed from different songs. C:
    paired (yardstick)."""
    start: str = ""
    """Separator to start from: a folder or models:/name@alias. Default: random weights."""
    separator: SeparatorConfig = field(default_factory=SeparatorConfig)
    fit: FitConfig = field(default_factory=lambda: FitConfig(steps=1_500, batch_size=64, learning_rate=2e-3))
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    length: int = 0
    """Samples per training crop, cut at random from the stored ones; 0: all of a stored crop."""
    dreams: DreamConfig = field(default_factory=DreamConfig)
    sleep_fraction: Schedule = field(default_factory=Schedule)
    """Weight of Sleep against self_training over the steps; 1: Sleep only."""
    self_training: Literal["wake", "remix"] = "wake"
    """What learns from unlabelled mixtures beside Sleep. wake: the ELBO under the priors. remix: a teacher's
    estimates, mixed anew."""
    refinement: RefineConfig = field(default_factory=lambda: RefineConfig(steps=0))
    """How the priors correct the teacher's estimates in remix; 0 steps: not at all."""
    mean_weight: float = 1.0
    """Weight of the posterior mean's own likelihood (one variance per item and source) beside Sleep's and
    Supervised's."""
    noise_std: Schedule = field(default_factory=lambda: Schedule(0.3, 0.1, 5_000, "geometric"))
    """Noise level sigma at which Wake compares with the priors, over the steps (units of the waveform)."""
    beta: float = 1.0
    """Weight of the KL part of the ELBO (nats against nats); acts only where --separator.noise-std > 0."""
    temperatures: tuple[float, ...] = ()
    """Prior temperatures tau_k, one per source or one for all. Default: ones."""
    samples: int = 1
    """Posterior draws per mixture in Wake."""
    gradient: Gradient = "entropy"
    """Wake's entropy in closed form, or -log q along the draws' path."""
    force: bool = False
    """Train even though the priors did not pass their gate."""
    resources: ResourcesConfig = field(default_factory=ResourcesConfig)


def _toy_separator(
    size: str, regime: Regime, steps: int, batch_size: int = 64, **changes: Any
) -> TrainSeparatorConfig:
    fit = FitConfig(steps=steps, batch_size=batch_size, learning_rate=2e-3, checkpoint_every=steps // 2)
    return TrainSeparatorConfig(
        preset=f"{size}-{regime.lower()}", regime=regime, fit=fit, force=True, **changes
    )


DREAMING: dict[str, Any] = {
    "augment": AugmentConfig(gain_db=6),
    "dreams": DreamConfig(3_072, temperatures=(0.1, 0.2, 0.4), noise_std=0.03),
    "sleep_fraction": Schedule(1.0, 0.25, 600),
    "self_training": "remix",
    "refinement": RefineConfig(noise_std=0.1, steps=4, step_size=0.3),
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
