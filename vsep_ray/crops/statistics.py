"""How much a crop store holds, how loud, and how much of it is silence."""

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from vsep_ray.crops.encoding import FLOOR_DB


@dataclass(frozen=True)
class SplitStatistics:
    """A split holds songs, crops and seconds over all sources; mixtures are not counted."""

    tracks: int
    crops: int
    seconds: float


@dataclass(frozen=True)
class SourceStatistics:
    """A source holds crops of all splits.

    Attributes:
        crops: number of crops.
        silence: share of crops that are silent.
        level_db: mean RMS of the other crops, in dB re full scale.
        activity: share of all 50 ms frames that are not silent.
    """

    crops: int
    silence: float
    level_db: float
    activity: float = 1.0


@dataclass(frozen=True)
class Contribution:
    """A member of a joined store contributes crops of one source to one split.

    Attributes:
        member: its name.
        split: train, valid or test.
        source: the class.
        crops: number of crops.
        minutes: their length together.
        silence: share of crops that are silent.
        lufs: median loudness of some of the other crops (LUFS, ITU-R BS.1770); None where all are silent, and
            in joined stores of format 4.
    """

    member: str
    split: str
    source: str
    crops: int
    minutes: float
    silence: float
    lufs: float | None = None


@dataclass(frozen=True)
class SourceCount:
    """The crops of one source are counted per unit, or per row group of it.

    Attributes:
        source: the class.
        crops: the number of crops.
        silent: the number of silent crops.
        level_sum_db: sum of the levels of the crops that are not silent.
        activity_sum: sum of the activities of all crops.
        groups: Parquet row groups that hold the crops.
        digest: SHA-256 of the unit's rows.
    """

    source: str
    crops: int = 0
    silent: int = 0
    level_sum_db: float = 0.0
    activity_sum: float = 0.0
    groups: int = 0
    digest: str = ""


def count_crops(source: str, table: pa.Table) -> SourceCount:
    """Returns the counts of a row group; it needs the columns ``silent``, ``rms_db`` and ``activity``."""
    silent = table["silent"].to_numpy()
    return SourceCount(
        source=source,
        crops=len(silent),
        silent=int(silent.sum()),
        level_sum_db=round(float(table["rms_db"].to_numpy()[~silent].sum(dtype=float)), 3),
        activity_sum=round(float(table["activity"].to_numpy().sum(dtype=float)), 3),
        groups=1,
    )


def source_statistics(counts: Iterable[SourceCount]) -> dict[str, SourceStatistics]:
    """Returns the statistics of every source, added up over units."""
    found = list(counts)
    sources = dict.fromkeys(count.source for count in found)
    return {source: _mean(add_up([c for c in found if c.source == source])) for source in sources}


def contribution_table(contributions: Iterable[Contribution]) -> str:
    """Returns what the members of a joined store contribute, as CSV, by source, member and split."""
    found = sorted(contributions, key=lambda c: (c.source, c.member, c.split))
    rows = [
        (c.source, c.member, c.split, c.minutes, c.silence, "" if c.lufs is None else c.lufs) for c in found
    ]
    lines = [("source", "member", "split", "minutes", "silence", "lufs"), *rows]
    return "".join(",".join(map(str, line)) + "\n" for line in lines)


def add_up(counts: list[SourceCount]) -> SourceCount:
    """Returns the counts of one source together; the digests are left out."""
    return SourceCount(
        source=counts[0].source,
        crops=sum(c.crops for c in counts),
        silent=sum(c.silent for c in counts),
        level_sum_db=round(sum(c.level_sum_db for c in counts), 3),
        activity_sum=round(sum(c.activity_sum for c in counts), 3),
        groups=sum(c.groups for c in counts),
    )


def _mean(count: SourceCount) -> SourceStatistics:
    audible = count.crops - count.silent
    level_db = round(count.level_sum_db / audible, 2) if audible else FLOOR_DB
    return SourceStatistics(
        count.crops, count.silent / count.crops, level_db, round(count.activity_sum / count.crops, 3)
    )
