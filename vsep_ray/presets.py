"""The configs of the jobs and their named values.

``smoke``: tests, minutes. ``toy``: toy waves on a laptop. ``laptop``: 16 kHz music on a laptop.
``music``: 44.1 kHz music on GPUs.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from vsep_ray.data.batches import AugmentConfig
from vsep_ray.data.crops import CropConfig
from vsep_ray.data.toy import ToyConfig
from vsep_ray.priors import FlowConfig, PriorConfig
from vsep_ray.schedules import Schedule
from vsep_ray.separators import SeparatorConfig, SpectrogramUNetConfig
from vsep_ray.training import FitConfig

Dataset = Literal["toy", "musdb18", "musdb18hq", "stems", "sources"]


@dataclass(frozen=True)
class JobConfig:
    """What every job takes."""

    preset: str = "toy"
    """Named starting values; the flags beside it change single fields."""
    storage: str = ""
    """Folder or s3://, gs:// URI for crops, checkpoints and tracking; shared by all nodes. Default:
    $VSEP_STORAGE, else ~/.vsep_ray"""
    tracking_uri: str = ""
    """MLflow tracking URI. Default: $MLFLOW_TRACKING_URI, else sqlite below the storage."""
    experiment: str = ""
    """MLflow experiment. Default: vsep/ and the kind of the job."""
    parent_run: str = ""
    """MLflow run below which this one is shown."""
    dry_run: bool = False
    """Print the resolved config and the plan, touch nothing."""
    fresh: bool = False
    """Start afresh where the same command would resume."""


@dataclass(frozen=True)
class PrepareCropsConfig(JobConfig):
    """Cut a data set into a sharded Parquet crop store."""

    dataset: Dataset = "toy"
    """toy | musdb18 (.stem.mp4) | musdb18hq (wav) | stems (a folder per track) | sources (a folder per
    source, no pairing)."""
    root: str = ""
    """Folder of the data set; not needed for toy."""
    output: str = ""
    """Folder of the crop store. Default: <storage>/crops/<dataset>-<fingerprint>"""
    sources: tuple[str, ...] = ()
    """Source classes to keep, in this order; default: all that are found, sorted."""
    map: tuple[str, ...] = ()
    """SOURCE=GLOB pairs for files or folders that do not have the name of their source, such as
    bass='killerbass/*'
    (relative to the root; for `stems` relative to each track folder). A file takes the first pair that
    matches it."""
    crop: CropConfig = field(default_factory=CropConfig)
    toy: ToyConfig = field(default_factory=ToyConfig)
    valid_fraction: float = 0.1
    """Share of tracks in split valid, for data sets without splits of their own (by a hash of the track
    id)."""
    test_fraction: float = 0.0
    """Share of tracks in split test, likewise."""


SMOKE_TOY = ToyConfig(lowest_hz=220, highest_hz=880, train_tracks=1_024, valid_tracks=64, test_tracks=64)
PREPARE_CROPS = {
    "toy": PrepareCropsConfig(),
    "smoke": PrepareCropsConfig(preset="smoke", toy=SMOKE_TOY),
    "laptop": PrepareCropsConfig(
        preset="laptop", dataset="sources", crop=CropConfig(sample_rate=16_000, length=32_768)
    ),
    "music": PrepareCropsConfig(
        preset="music", dataset="musdb18", crop=CropConfig(sample_rate=44_100, channels=2, length=264_600)
    ),
}

AudioFormat = Literal["wav", "flac", "ogg", "opus", "mp3"]


@dataclass(frozen=True)
class SeparateCatalogConfig(JobConfig):
    """Separate every track of a catalog, resumably."""

    catalog: str = ""
    """Folder, glob, CSV or Parquet manifest (column `path` or `uri`), local or s3://, gs://."""
    model: str = ""
    """Checkpoint directory, runs:/... or models:/name@alias. Default: the latest separator in the storage."""
    output: str = ""
    """Folder for stems and ledger. Default: <storage>/catalogs/<name of the catalog>-<hash of its URI>"""
    format: AudioFormat = "wav"
    """Container of the stems."""
    subtype: Literal["auto", "16", "24", "float"] = "auto"
    """Sample format of wav and flac: bits or float; auto: 24 for flac, float for wav."""
    template: str = "{path}/{source}.{ext}"
    """Output name relative to --output; {path} is the track's path in the catalog without its ending."""
    chunk_seconds: float = 6.0
    """Seconds of audio in one forward pass of the model."""
    overlap: float = 0.25
    """Fraction of a chunk that is cross-faded with its neighbour, in [0, 0.5]."""
    batch_size: int = 4
    """Chunks per forward pass; the last batch is padded to this size."""
    max_failed: float = 0.05
    """Largest fraction of failed tracks with which the job still exits with 0."""
    retry_failed: bool = False
    """Try tracks again that the ledger lists as failed."""
    overwrite: bool = False
    """Separate everything again."""
    num_actors: int = 0
    """Model replicas; 0: one per GPU, or one per CPU where there is none."""


SEPARATE_CATALOG = {
    "toy": SeparateCatalogConfig(),
    "smoke": SeparateCatalogConfig(preset="smoke", chunk_seconds=2.0, batch_size=2),
    "music": SeparateCatalogConfig(preset="music", batch_size=16),
}


@dataclass(frozen=True)
class EvaluateConfig(JobConfig):
    """Score a separator on tracks with known stems, against mixture and oracle."""

    model: str = ""
    """Checkpoint directory, runs:/... or models:/name@alias. Default: the latest separator in the storage."""
    dataset: Dataset | Literal["crops"] = "crops"
    """Where the references come from; crops: split test of a crop store."""
    root: str = ""
    """Folder of the data set, or the crop store. Default: the latest crop store in the storage."""
    map: tuple[str, ...] = ()
    """SOURCE=GLOB pairs as in prepare_crops.py."""
    max_tracks: int = 256
    """Score at most this many tracks."""
    bsseval: bool = False
    """Also BSS Eval v4 by museval (SIR, ISR, SAR; about 0.7 s of CPU time per second of audio)."""
    listening_tracks: int = 4
    """Worst tracks that the listening page embeds."""


EVALUATE = {
    "toy": EvaluateConfig(),
    "smoke": EvaluateConfig(preset="smoke", max_tracks=64, listening_tracks=2),
    "music": EvaluateConfig(preset="music", dataset="musdb18"),
}


@dataclass(frozen=True)
class ResourcesConfig:
    """What a training run takes from the cluster; it does not change what is learned, nor the name of the
    run."""

    num_workers: int = 0
    """Data-parallel workers. 0: for a separator all GPUs, or up to 2 CPUs where there is none; for a
    prior one."""
    cpus_per_worker: float = 0.75
    """Logical CPUs per worker; below 1 so that reading finds room beside training on a full machine."""
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
    prior: PriorConfig = field(default_factory=PriorConfig)
    fit: FitConfig = field(default_factory=lambda: FitConfig(steps=1_000, batch_size=32, learning_rate=1e-3))
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    length: int = 0
    """Samples per training crop, cut at random from the stored ones; 0: all of a stored crop."""
    noise_stds: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
    """Noise levels at which priors are compared (units of the waveform)."""
    gate: float = 0.7
    """Smallest per-crop accuracy, at the best noise level, with which a prior counts as discriminative."""
    resources: ResourcesConfig = field(default_factory=ResourcesConfig)


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
    separator: SeparatorConfig = field(default_factory=SeparatorConfig)
    fit: FitConfig = field(default_factory=lambda: FitConfig(steps=1_500, batch_size=64, learning_rate=2e-3))
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    length: int = 0
    """Samples per training crop, cut at random from the stored ones; 0: all of a stored crop."""
    dreams: int = 2_048
    """Regime A: clips per source that are drawn from the priors for Sleep."""
    sleep_fraction: Schedule = field(default_factory=Schedule)
    """Weight of Sleep against Wake over the steps; 1: Sleep only."""
    noise_std: Schedule = field(default_factory=lambda: Schedule(0.3, 0.1, 5_000, "geometric"))
    """Noise level sigma at which Wake compares with the priors, over the steps (units of the waveform)."""
    beta: float = 1.0
    """Weight of the KL part of the ELBO (nats against nats); acts only where --separator.noise-std > 0."""
    temperatures: tuple[float, ...] = ()
    """Prior temperatures tau_k, one per source. Default: ones."""
    samples: int = 1
    """Posterior draws per mixture in Wake."""
    force: bool = False
    """Train even though the priors did not pass their gate."""
    resources: ResourcesConfig = field(default_factory=ResourcesConfig)


SMOKE_BACKBONE = SpectrogramUNetConfig(n_fft=128, hop=64, width=48, blocks=1)
TRAIN_SEPARATOR = {
    "toy": TrainSeparatorConfig(),
    "smoke": TrainSeparatorConfig(
        preset="smoke",
        fit=SMOKE_FIT,
        separator=SeparatorConfig(backbone=SMOKE_BACKBONE),
        dreams=64,
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
        dreams=256,
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


@dataclass(frozen=True)
class TuneConfig(JobConfig):
    """Search beta, flow depth, and any other field of the separator's config."""

    crops: str = ""
    """Crop store. Default: the latest in the storage; with presets toy and smoke it is made if there is
    none."""
    betas: tuple[float, ...] = (0.1, 1.0, 10.0)
    """Weights of the KL part of the ELBO to try (nats against nats)."""
    depths: tuple[int, ...] = (2, 4, 8)
    """Flow steps per block of the priors to try; priors are trained once per depth and seed."""
    axes: tuple[str, ...] = ()
    """Further axes as path=value,value, such as fit.learning_rate=0.001,0.0003 (paths in the separator's
    config)."""
    seeds: tuple[int, ...] = (0,)
    """Repeats."""
    reduction: int = 3
    """ASHA keeps one of so many trials at each rung."""
    priors: TrainPriorsConfig = field(default_factory=TrainPriorsConfig)
    separator: TrainSeparatorConfig = field(
        default_factory=lambda: TrainSeparatorConfig(
            separator=SeparatorConfig(noise_std=0.02), sleep_fraction=Schedule(0.5, 0.5), force=True
        )
    )
    resources: ResourcesConfig = field(default_factory=ResourcesConfig)

    @property
    def fit(self) -> FitConfig:
        """The separator's; the length of a trial."""
        return self.separator.fit


TUNE = {
    "toy": TuneConfig(
        priors=TrainPriorsConfig(fit=FitConfig(steps=300, batch_size=32, checkpoint_every=300)),
        separator=replace(
            TuneConfig().separator,
            fit=FitConfig(steps=600, batch_size=64, learning_rate=2e-3, checkpoint_every=100),
        ),
    ),
    "smoke": TuneConfig(
        preset="smoke", betas=(0.1, 10.0), depths=(1, 2), priors=TRAIN_PRIORS["smoke"],
        separator=TrainSeparatorConfig(
            preset="smoke", fit=SMOKE_FIT, force=True, sleep_fraction=Schedule(0.5, 0.5),
            separator=SeparatorConfig(backbone=SMOKE_BACKBONE, noise_std=0.02),
        ),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class QuickstartConfig(JobConfig):
    """Toy waves end to end: crops, priors, separators, evaluation, a small catalog, MLflow."""

    preset: str = "smoke"
    """Named starting values."""
    crops: PrepareCropsConfig = field(default_factory=PrepareCropsConfig)
    priors: TrainPriorsConfig = field(default_factory=TrainPriorsConfig)
    separator: TrainSeparatorConfig = field(default_factory=TrainSeparatorConfig)
    regime_a_steps: int = 150
    """Optimiser steps of the regime-A separator (regime B takes those of separator.fit)."""
    catalog_tracks: int = 4
    """Toy songs in the catalog that is separated at the end."""

    def regimes(self) -> dict[str, TrainSeparatorConfig]:
        """The separator jobs, B last, so that it ends as the champion."""
        a = replace(self.separator, regime="A", fit=replace(self.separator.fit, steps=self.regime_a_steps))
        return {"A": a, "B": replace(self.separator, regime="B")}


def _quickstart(
    preset: str, toy: ToyConfig, prior: FlowConfig, prior_fit: FitConfig, fit: FitConfig, **changes: Any
) -> QuickstartConfig:
    return QuickstartConfig(
        preset=preset,
        crops=PrepareCropsConfig(preset=preset, toy=toy),
        priors=TrainPriorsConfig(preset=preset, prior=prior, fit=prior_fit),
        separator=TrainSeparatorConfig(preset=preset, fit=fit, force=True, **changes),
    )


QUICKSTART = {
    "smoke": _quickstart(
        "smoke",
        replace(SMOKE_TOY, train_tracks=8_192, valid_tracks=256, test_tracks=256),
        FlowConfig(),
        FitConfig(steps=300, batch_size=32, learning_rate=1e-3, checkpoint_every=300),
        FitConfig(steps=600, batch_size=64, learning_rate=2e-3, checkpoint_every=300),
        dreams=1_024,
    ),
    "toy": _quickstart(
        "toy",
        replace(ToyConfig(), train_tracks=32_768, valid_tracks=512, test_tracks=512),
        FlowConfig(steps=12, width=96, layers=4),
        FitConfig(steps=4_000, batch_size=32, learning_rate=1e-3),
        FitConfig(steps=8_000, batch_size=64, learning_rate=2e-3),
    ),
}
