"""How much a crop store holds, how loud, and how much of it is silence."""

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from vsep_ray.data.pcm import FLOOR_DB


@dataclass(frozen=True)
class SplitStatistics:
    """What one split holds: songs, crops and seconds over all sources, mixtures not counted."""

    tracks: int
    crops: int
    seconds: float


@dataclass(frozen=True)
class SourceStatistics:
    """What one source holds, over all splits.

    Attributes:
        crops: number of crops.
        silence: share of crops that are silent.
        level_db: mean RMS of the other crops, in dB re full scale.
    """

    crops: int
    silence: float
    level_db: float


@dataclass(frozen=True)
class SourceCount:
    """Crops of one source in one unit; ``level_sum_db`` adds up the levels of those that are not silent."""

    source: str
    crops: int
    silent: int
    level_sum_db: float


def count_crops(source: str, table: pa.Table) -> SourceCount:
    """Count the rows of a crop table; it needs the columns ``silent`` and ``rms_db``."""
    silent = table["silent"].to_numpy()
    level = table["rms_db"].to_numpy()[~silent].sum(dtype=float)
    return SourceCount(source, len(silent), int(silent.sum()), round(float(level), 3))


def source_statistics(counts: Iterable[SourceCount]) -> dict[str, SourceStatistics]:
    """The statistics of every source, added up over units."""
    by_source: dict[str, list[SourceCount]] = {}
    for count in counts:
        by_source.setdefault(count.source, []).append(count)
    return {source: _add_up(c) for source, c in by_source.items()}


def _add_up(counts: list[SourceCount]) -> SourceStatistics:
    crops, silent = sum(c.crops for c in counts), sum(c.silent for c in counts)
    level_db = sum(c.level_sum_db for c in counts) / (crops - silent) if crops > silent else FLOOR_DB
    return SourceStatistics(crops, silent / crops, round(level_db, 2))
