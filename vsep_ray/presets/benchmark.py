"""benchmark.py: its config and presets."""

from dataclasses import dataclass, field

from vsep_ray.datasets.toy import ToyConfig
from vsep_ray.presets.catalog import AudioFormat, SeparateCatalogConfig
from vsep_ray.presets.crops import SMOKE_TOY
from vsep_ray.presets.job import JobConfig
from vsep_ray.presets.training import SMOKE_BACKBONE
from vsep_ray.separators import SeparatorConfig
from vsep_ray.training import FitConfig


@dataclass(frozen=True)
class BenchmarkConfig(JobConfig):
    """Compare the system with the bare work inside it; both sides of every ratio are timed in one run."""

    separator: SeparatorConfig = field(default_factory=SeparatorConfig)
    """The model; its weights are random, since they change no time."""
    toy: ToyConfig = field(
        default_factory=lambda: ToyConfig(train_tracks=2_048, valid_tracks=64, test_tracks=0)
    )
    """Crops of the training case."""
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(steps=200, batch_size=64, log_every=20, checkpoint_every=200)
    )
    """Steps and batch of the training case. The first ``log_every`` steps count as start-up."""
    catalog_copies: int = 8
    """How often each FLAC file of the data cases is in the catalog of the separation cases."""
    format: AudioFormat = "flac"
    """Of the stems in the separation cases. Floats as wav are 1.4 MB per second of song and all stems: a disk
    may be slower than the model."""
    catalog_rows: int = 1_000_000
    """Rows of the catalog of the ledger case."""
    stitched_seconds: float = 60.0
    """Length of the track of the overlap-add case (s)."""
    minutes: tuple[float, float] = (2.0, 12.0)
    """Lengths of the two 44.1 kHz stereo files of the memory case."""
    chunk_seconds: float = SeparateCatalogConfig.chunk_seconds
    """Seconds of audio in one forward pass."""
    batch_size: int = SeparateCatalogConfig.batch_size
    """Chunks per forward pass."""
    tracks: int = 12
    """Tracks of the data cases: four sources at 44.1 kHz, stereo, as wav, FLAC, MP3 and .stem.mp4."""
    track_seconds: float = 30.0
    """Their length (s)."""
    copies: int = 10
    """How often each of them is listed, under a name of its own, where a store is written and read."""
    generated: int = 4_096
    """Samples of the waveform in the generation case."""
    repeats: int = 3
    """Timings of each kind, in turns; the median counts."""

    def idle(self) -> dict[str, str]:
        """Nothing of a benchmark is kept."""
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
        stitched_seconds=4.0,
        minutes=(0.1, 0.6),
        chunk_seconds=1.0,
        batch_size=2,
        tracks=8,
        track_seconds=2.5,
        copies=1,
        generated=128,
        repeats=1,
    ),
}
