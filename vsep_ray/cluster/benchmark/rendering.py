"""Band songs become a crop store, against FluidSynth alone, which plays the notes within: both in CPU seconds
of one run of one process, so that what else the machine does counts little.
"""

import functools
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vsep_ray.cluster.benchmark.cases import RATE, Row
from vsep_ray.config import UserError
from vsep_ray.crops.store import CropStore
from vsep_ray.crops.writing import Unit, write_unit
from vsep_ray.datasets.band import BandConfig
from vsep_ray.datasets.track import CropConfig
from vsep_ray.music.synthesiser import Player

RENDERED = CropConfig(sample_rate=RATE, channels=2, length=6 * RATE, encoding="flac")
"""The rendering case has these crops."""
PLAYING = ("__init__", "select", "strike", "release", "control", "play_to", "__exit__")
"""These methods of a player are FluidSynth's work, with its reading of the font."""


class Clock:
    """A clock adds up the CPU seconds (of this process) within the calls that it times."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Returns the call, timed."""

        @functools.wraps(call)
        def clocked(*values: Any) -> Any:
            began = time.process_time()
            try:
                return call(*values)
            finally:
                self.seconds += time.process_time() - began

        return clocked


def rendering(dataset: BandConfig, folder: Path, repeats: int) -> list[Row]:
    """Composes, renders, encodes and stores songs, against FluidSynth alone; no row, but a line that says
    why, where FluidSynth or a font is missing.
    """
    try:
        dataset.find()
    except UserError as error:
        print(f"the case rendering is left out: {error}", flush=True)
        return []
    runs = [measured(dataset, RENDERED, folder) for _ in range(1 + repeats)]
    system, bare = (statistics.median(side) for side in zip(*runs[1:], strict=True))  # the first warms up
    audio = dataset.train_songs * dataset.song_seconds
    details = {"synthesiser_share": bare / system, "realtime_factor": audio / system}
    return [Row("rendering", "CPU s", system, bare, details)]


def measured(dataset: BandConfig, crop: CropConfig, folder: Path) -> tuple[float, float]:
    """Returns CPU seconds from seeds to part files of the songs of split train, and those of FluidSynth."""
    tracks = tuple(t for t in dataset.find() if t.split == "train")
    sources = dataset.table.sources
    store = CropStore(
        uri=str(folder / "rendered"),
        dataset=dataset.name,
        **vars(crop),
        sources=sources,
        scales=dataset.scales(len(sources)),
        paired=True,
        fingerprint="benchmark",
    )
    synthesiser, all_of_it = Clock(), Clock()
    clocked = _clocked(dataset, synthesiser)
    record = all_of_it.timed(write_unit)(
        store, Unit("0", "train", tracks), functools.partial(clocked.open, crop=crop)
    )
    assert not record.rejected, record.rejected
    return all_of_it.seconds, synthesiser.seconds


def _clocked(dataset: BandConfig, clock: Clock) -> BandConfig:
    """Returns the same songs, whose player is timed."""
    timed = {name: clock.timed(getattr(Player, name)) for name in PLAYING}

    class Clocked(BandConfig):
        player = type("ClockedPlayer", (Player,), timed)

    return Clocked(**vars(dataset))
