"""The configs of the jobs and their named values: ``smoke`` (tests, minutes), ``toy`` (a laptop), ``music`` (GPUs)."""

from dataclasses import dataclass, field
from typing import Literal

from vsep_ray.data.crops import CropConfig
from vsep_ray.data.toy import ToyConfig

Dataset = Literal["toy", "musdb18", "musdb18hq", "stems", "sources"]


@dataclass(frozen=True)
class JobConfig:
    """What every job takes."""

    preset: str = "toy"
    """Named starting values; the flags beside it change single fields."""
    storage: str = ""
    """Folder or s3://, gs:// URI for crops, checkpoints and tracking; shared by all nodes. Default: $VSEP_STORAGE, else ~/.vsep_ray"""
    tracking_uri: str = ""
    """MLflow tracking URI. Default: $MLFLOW_TRACKING_URI, else sqlite below the storage."""
    dry_run: bool = False
    """Print the resolved config and the plan, touch nothing."""
    fresh: bool = False
    """Start afresh where the same command would resume."""


@dataclass(frozen=True)
class PrepareCropsConfig(JobConfig):
    """Cut a data set into a sharded Parquet crop store."""

    dataset: Dataset = "toy"
    """toy | musdb18 (.stem.mp4) | musdb18hq (wav) | stems (a folder per track) | sources (a folder per source, no pairing)."""
    root: str = ""
    """Folder of the data set; not needed for toy."""
    output: str = ""
    """Folder of the crop store. Default: <storage>/crops/<dataset>-<fingerprint>"""
    sources: tuple[str, ...] = ()
    """Source classes to keep, in this order; default: all that are found, sorted."""
    map: tuple[str, ...] = ()
    """SOURCE=GLOB pairs for files or folders that do not have the name of their source, such as bass='killerbass/*'
    (relative to the root; for `stems` relative to each track folder). A file takes the first pair that matches it."""
    crop: CropConfig = field(default_factory=CropConfig)
    toy: ToyConfig = field(default_factory=ToyConfig)
    valid_fraction: float = 0.1
    """Share of tracks in split valid, for data sets without splits of their own (by a hash of the track id)."""
    test_fraction: float = 0.0
    """Share of tracks in split test, likewise."""


AudioFormat = Literal["wav", "flac", "ogg", "opus", "mp3"]


@dataclass(frozen=True)
class SeparateCatalogConfig(JobConfig):
    """Separate every track of a catalog, resumably."""

    catalog: str = ""
    """Folder, glob, CSV or Parquet manifest (column `path` or `uri`), local or s3://, gs://."""
    model: str = ""
    """Checkpoint directory, runs:/... or models:/name@alias. Default: the latest separator in the storage."""
    output: str = ""
    """Folder for stems and ledger. Default: <storage>/catalogs/<name of the catalog>"""
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
