"""prepare_crops.py has its config and presets here."""

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
    """Cuts a data set into a sharded Parquet crop store."""

    dataset: DatasetConfig = field(default_factory=ToyConfig)
    """This data set is cut. toy: toy waves. stems: a folder per track. sources: a folder per source, no
    pairing. manifest: a CSV or Parquet table. musdb18: .stem.mp4. musdb18hq: wav. slakh: Slakh2100.
    moisesdb: MoisesDB. medleydb: MedleyDB 1 and 2. midi: MIDI files, rendered by SoundFonts. band: songs
    composed by seed, rendered likewise. voices: recordings of solo voices and variants of them."""
    output: str = option("", role="place")
    """The crop store goes to this folder. Default: <storage>/crops/<dataset>-<fingerprint>"""
    sources: tuple[str, ...] = ()
    """These source classes are kept, in this order; default: all that are found, sorted."""
    crop: CropConfig = field(default_factory=CropConfig)
    valid_fraction: float = 0.1
    """This share of tracks goes to split valid, by a hash of the track id, where a data set has no splits of
    its own."""
    test_fraction: float = 0.0
    """This share of tracks goes to split test, likewise."""
    max_failed: float = option(0.05, role="manner", least=0.0, most=1.0)
    """The exit code is 1 if more than this share of tracks is quarantined; the store is finished all the
    same."""

    def idle(self) -> dict[str, str]:
        """Returns the shares of the splits, where every track comes with its split."""
        why = f"--dataset {self.dataset.name} comes with its splits; leave it out"
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
