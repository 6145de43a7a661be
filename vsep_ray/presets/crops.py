"""prepare_crops.py: its config and presets."""

from dataclasses import dataclass, field, replace

from vsep_ray.datasets.registry import Dataset
from vsep_ray.datasets.toy import ToyConfig
from vsep_ray.datasets.track import CropConfig
from vsep_ray.presets.job import JobConfig


@dataclass(frozen=True)
class PrepareCropsConfig(JobConfig):
    """Cut a data set into a sharded Parquet crop store."""

    dataset: Dataset = "toy"
    """toy | musdb18 (.stem.mp4) | musdb18hq (wav) | slakh (Slakh2100) | stems (a folder per track) | sources
    (a folder per source, no pairing) | manifest (CSV or Parquet with columns path, source and, if known,
    track and split)."""
    root: str = ""
    """Folder of the data set, or the manifest; local, s3:// or gs://; not needed for toy."""
    output: str = ""
    """Folder of the crop store. Default: <storage>/crops/<dataset>-<fingerprint>"""
    sources: tuple[str, ...] = ()
    """Source classes to keep, in this order; default: all that are found, sorted."""
    map: tuple[str, ...] = ()
    """SOURCE=GLOB pairs for files or folders that do not have the name of their source, such as
    bass='killerbass/*'
    (relative to the root; for `stems` relative to each track folder; for `slakh` instrument classes). A file
    takes the first pair that matches it."""
    crop: CropConfig = field(default_factory=CropConfig)
    toy: ToyConfig = field(default_factory=ToyConfig)
    valid_fraction: float = 0.1
    """Share of tracks in split valid, for data sets without splits of their own (by a hash of the track
    id)."""
    test_fraction: float = 0.0
    """Share of tracks in split test, likewise."""
    max_failed: float = 0.05
    """Share of quarantined tracks above which the exit code is 1; the store is finished all the same."""


SMOKE_TOY = ToyConfig(lowest_hz=220, highest_hz=880, train_tracks=1_024, valid_tracks=64, test_tracks=64)
PREPARE_CROPS = {
    "toy": PrepareCropsConfig(),
    "smoke": PrepareCropsConfig(preset="smoke", toy=SMOKE_TOY),
    "small": PrepareCropsConfig(
        preset="small", toy=replace(SMOKE_TOY, train_tracks=8_192, valid_tracks=256, test_tracks=256)
    ),
    "full": PrepareCropsConfig(preset="full", crop=CropConfig(sample_rate=16_000, length=4_096)),
    "laptop": PrepareCropsConfig(
        preset="laptop", dataset="sources", crop=CropConfig(sample_rate=16_000, length=32_768)
    ),
    "music": PrepareCropsConfig(
        preset="music", dataset="musdb18", crop=CropConfig(sample_rate=44_100, channels=2, length=264_600)
    ),
}
