"""separate_catalog.py: its config and presets."""

from dataclasses import dataclass
from typing import Literal

from vsep_ray.chunking import CHUNK_SECONDS, OVERLAP
from vsep_ray.config import option
from vsep_ray.presets.job import Device, JobConfig

AudioFormat = Literal["wav", "flac", "ogg", "opus", "mp3"]


@dataclass(frozen=True)
class SeparateCatalogConfig(JobConfig):
    """Separate every track of a catalog, resumably."""

    catalog: str = option("", role="input")
    """Folder, glob, CSV or Parquet manifest (column `path` or `uri`), local or s3://, gs://."""
    model: str = option("", role="input")
    """Checkpoint directory, runs:/... or models:/name@alias. Default: the latest separator in the storage."""
    output: str = option("", role="place")
    """Folder for stems and ledger. Default: <storage>/catalogs/<name of the catalog>-<hash of its URI>"""
    sources: tuple[str, ...] = ()
    """Stems to write; `rest` is the mixture minus the others, so `--sources vocals rest` makes two stems.
    Default: all sources of the model."""
    format: AudioFormat = "wav"
    """Container of the stems."""
    subtype: Literal["auto", "16", "24", "float"] = "auto"
    """Sample format of wav and flac: bits or float; auto: 24 for flac, float for wav."""
    template: str = "{path}/{source}.{ext}"
    """Output name relative to --output; {path} is the track's path in the catalog without its ending."""
    chunk_seconds: float = CHUNK_SECONDS
    """Seconds of audio in one forward pass of the model."""
    overlap: float = OVERLAP
    """Fraction of a chunk that is cross-faded with its neighbour, in [0, 0.5]."""
    batch_size: int = option(4, role="resource")
    """Chunks per forward pass; the last batch is padded to this size."""
    samples: int = 0
    """Posterior draws per chunk, from which the ledger gets the SDR (dB) that the model expects of each stem,
    to sort a catalog by doubt; 0: none."""
    max_failed: float = option(0.05, role="manner")
    """Largest fraction of failed tracks with which the job still exits with 0."""
    max_alike: int = option(100, role="manner")
    """Tracks in a row that may fail with the same error before the job stops; 0: any number."""
    retry_failed: bool = option(False, role="manner")
    """Try tracks again that the ledger lists as failed."""
    overwrite: bool = option(False, role="manner")
    """Separate everything again."""
    num_actors: int = option(0, role="resource")
    """Model replicas; 0: one per GPU, or one per CPU where there is none. A cluster that grows on demand
    grows to so many."""
    device: Device = option("auto", role="resource")
    """Where the model runs; auto: on GPUs if the cluster has any now. Say gpu where they come on demand."""
    listening_tracks: int = option(5, role="manner")
    """Tracks on the listening page: the most doubtful, or some spread over the catalog; 0: no page."""


SEPARATE_CATALOG = {
    "toy": SeparateCatalogConfig(),
    "smoke": SeparateCatalogConfig(preset="smoke", chunk_seconds=2.0, batch_size=2),
    "music": SeparateCatalogConfig(preset="music", batch_size=16),
}
