"""prepare_crops.py: its config and presets."""

from dataclasses import dataclass, field, replace

from vsep_ray.config import option
from vsep_ray.datasets.folders import SourcesConfig
from vsep_ray.datasets.musdb import MUSDB18Config
from vsep_ray.datasets.registry import DatasetConfig
from vsep_ray.datasets.toy import ToyConfig
from vsep_ray.datasets.track import CropConfig
from vsep_ray.presets.job import JobConfig


@dataclass(frozen=True)
class PrepareCropsConfig(JobConfig):
    """Cut a data set into a sharded Parquet crop store."""

    dataset: DatasetConfig = field(default_factory=ToyConfig)
    """What to cut. toy: toy waves. stems: a folder per track. sources: a folder per source, no pairing.
    manifest: a CSV or Parquet table. musdb18: .stem.mp4. musdb18hq: wav. slakh: Slakh2100."""
    output: str = option("", role="place")
    """Folder of the crop store. Default: <storage>/crops/<dataset>-<fingerprint>"""
    sources: tuple[str, ...] = ()
    """Source classes to keep, in this order; default: all that are found, sorted."""
    crop: CropConfig = field(default_factory=CropConfig)
    valid_fraction: float = 0.1
    """Share of tracks in split valid, for data sets without splits of their own (by a hash of the track
    id)."""
    test_fraction: float = 0.0
    """Share of tracks in split test, likewise."""
    max_failed: float = option(0.05, role="manner")
    """Share of quarantined tracks above which the exit code is 1; the store is finished all the same."""

    def idle(self) -> dict[str, str]:
        """Where every track comes with its split there is nothing to divide."""
        why = f"the tracks of --dataset {self.dataset.name} come with their splits"
        return dict.fromkeys(("valid_fraction", "test_fraction"), why) if self.dataset.has_splits else {}


SMOKE_TOY = ToyConfig(lowest_hz=220, highest_hz=880, train_tracks=1_024, valid_tracks=64, test_tracks=64)
PREPARE_CROPS = {
    "toy": PrepareCropsConfig(),
    "smoke": PrepareCropsConfig(preset="smoke", dataset=SMOKE_TOY),
    "small": PrepareCropsConfig(
        preset="small", dataset=replace(SMOKE_TOY, train_tracks=8_192, valid_tracks=256, test_tracks=256)
    ),
    "full": PrepareCropsConfig(preset="full", crop=CropConfig(sample_rate=16_000, length=4_096)),
    "laptop": PrepareCropsConfig(
        preset="laptop", dataset=SourcesConfig(), crop=CropConfig(sample_rate=16_000, length=32_768)
    ),
    "music": PrepareCropsConfig(
        preset="music",
        dataset=MUSDB18Config(),
        crop=CropConfig(sample_rate=44_100, channels=2, length=264_600),
    ),
}
