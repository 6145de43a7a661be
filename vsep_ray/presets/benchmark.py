"""benchmark.py has its config and presets here."""

from dataclasses import dataclass, field

from vsep_ray.datasets.toy import ToyConfig
from vsep_ray.presets.catalog import AudioFormat, SeparateCatalogConfig
from vsep_ray.presets.crops import SMOKE_TOY
from vsep_ray.presets.job import JobConfig
from vsep_ray.presets.separator import SMOKE_BACKBONE
from vsep_ray.separators import SeparatorConfig
from vsep_ray.training import FitConfig


@dataclass(frozen=True)
class BenchmarkConfig(JobConfig):
    """Compares the system with the bare work inside it; both sides of every ratio are timed in one run."""

    separator: SeparatorConfig = field(default_factory=SeparatorConfig)
    """This model is used; its weights are random, since they change no time."""
    toy: ToyConfig = field(
        default_factory=lambda: ToyConfig(train_tracks=2_048, valid_tracks=64, test_tracks=0)
    )
    """The training case reads crops of these toy waves."""
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(steps=200, batch_size=64, log_every=20, checkpoint_every=200)
    )
    """The training case has these steps and batches. The first ``log_every`` steps count as start-up."""
    catalog_copies: int = 8
    """Each FLAC file of the data cases is in the catalog of the separation cases this often."""
    format: AudioFormat = "flac"
    """The separation cases write stems in this container. Floats as wav are 1.4 MB per second of song and all
    stems: a disk may be slower than the model."""
    catalog_rows: int = 1_000_000
    """The catalog of the ledger case has this number of rows."""
    minutes: tuple[float, float] = (2.0, 12.0)
    """The two 44.1 kHz stereo files of the memory case have these lengths (minutes)."""
    chunk_seconds: float = SeparateCatalogConfig.chunk_seconds
    """One forward pass has this many seconds of audio."""
    batch_size: int = SeparateCatalogConfig.batch_size
    """One forward pass has this number of chunks."""
    tracks: int = 12
    """The data cases have this number of tracks: four sources at 44.1 kHz, stereo, as FLAC and .stem.mp4."""
    track_seconds: float = 30.0
    """Each track has this length (s)."""
    copies: int = 10
    """Each track is listed this often, under a name of its own, where a store is written and read."""
    band_songs: int = 3
    """The rendering case has this number of band songs."""
    band_seconds: float = 90.0
    """Each band song has this length (s)."""
    repeats: int = 3
    """Each side is timed this often, in turns; the median counts."""

    def idle(self) -> dict[str, str]:
        """Returns that nothing of a benchmark is kept."""
        return {"fresh": "every benchmark starts anew"}


BENCHMARK = {
    "toy": BenchmarkConfig(),
    "smoke": BenchmarkConfig(
        preset="smoke",
        separator=SeparatorConfig(backbone=SMOKE_BACKBONE),
        toy=SMOKE_TOY,
        fit=FitConfig(steps=40, batch_size=16, log_every=10, checkpoint_every=40),
        catalog_copies=1,
        catalog_rows=2_000,
        minutes=(0.1, 0.6),
        chunk_seconds=1.0,
        batch_size=2,
        tracks=8,
        track_seconds=2.5,
        copies=1,
        band_songs=1,
        band_seconds=5.0,
        repeats=1,
    ),
}
