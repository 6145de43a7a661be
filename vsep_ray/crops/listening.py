"""The members of a joined store are heard: how much there is of each track, how loud, and its landmarks."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vsep_ray import storage
from vsep_ray.audio.loudness import short_loudness
from vsep_ray.audio.resampling import Audio
from vsep_ray.config import fingerprint
from vsep_ray.crops.encoding import decode, unpack
from vsep_ray.crops.landmarks import NOTHING, Landmarks, landmarks
from vsep_ray.crops.statistics import SourceCount
from vsep_ray.crops.store import CropStore

SHORTEST_SECONDS = 5.0
"""Less of a track says nothing: one-shots and single notes are alike, and so are their names."""
LISTEN_SECONDS = 240.0
"""At most this much of a track is listened to, from its beginning."""
MEASURED, MEASURED_SECONDS = 100, 300.0
"""Crops of each source in a split of a member whose loudness is measured, and their seconds, at most."""
AUDIO = ["track", "gain", "audio"]
"""What is read of crops to hear them."""


@dataclass(frozen=True)
class Heard:
    """A part file of a member holds this of one track.

    Attributes:
        member: the member's name in the joined store.
        split: train, valid or test.
        part: the name of the part file.
        track: its id in the member.
        seconds: until the end of its last crop.
        count: how many crops there are, how loud, and how many of them silent.
        marks: what its sound is known by.
        lufs: loudness of the crops that were measured.
    """

    member: str
    split: str
    part: str
    track: str
    seconds: float
    count: SourceCount
    marks: Landmarks
    lufs: tuple[float, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """Member and track."""
        return self.member, self.track


def to_hear(
    joined: CropStore, stores: Sequence[CropStore]
) -> Iterator[tuple[CropStore, str, str, str, str, int]]:
    """Yields what `hear` takes for each part file of the members. The crops whose loudness is measured are
    shared out evenly among the files of a source in a split.

    Args:
        joined: its `vsep_ray.crops.joining.layout`.
        stores: the members.
    """
    by_uri = {store.uri: store for store in stores}
    for store, member in ((by_uri[m.uri], m.name) for m in joined.members):
        most = max(1, min(MEASURED, int(MEASURED_SECONDS * store.sample_rate / store.length)))
        files: dict[tuple[str, str], list[str]] = {}
        for part in store.parts():
            files.setdefault((part["split"], part["source"]), []).append(part["name"])
        for (split, source), names in files.items():
            shares = np.diff(np.arange(len(names) + 1) * most // len(names)).tolist()
            yield from ((store, member, split, source, n, k) for n, k in zip(names, shares, strict=True))


def hear(store: CropStore, member: str, split: str, source: str, part: str, measured: int) -> list[Heard]:
    """Returns what a part file of a store holds of each track, listening to a row group at a time.

    Args:
        store: the member.
        member: its name in the joined store.
        split, source, part: which file.
        measured: number of crops whose loudness is measured, at random among the audible ones, always the
            same.
    """
    filesystem, path = storage.open_filesystem(store.part_file(split, source, part))
    dice = np.random.default_rng(int(fingerprint([split, source, part]), 16))
    with pq.ParquetFile(path, filesystem=filesystem) as file:
        rows = file.read(["track", "offset", "silent", "rms_db", "activity"])
        found = _count(rows, source).to_pylist()
        long = {r["track"] for r in found if _audible_seconds(r, store) >= SHORTEST_SECONDS}
        sounds = itertools.groupby(_sounds(file, store, long), key=lambda pair: pair[0])
        marks = {t: landmarks(np.concatenate([a for _, a in g]), store.sample_rate) for t, g in sounds}
        chosen = dice.permutation(np.flatnonzero(~rows["silent"].to_numpy()))[:measured]
        measures = [(t, short_loudness(a, store.sample_rate)) for t, a in _some(file, store, chosen)]
    return [
        Heard(
            member, split, part, r["track"], (r["offset_max"] + store.length) / store.sample_rate,
            SourceCount(source, r["crops"], r["silent_sum"], r["audible_db_sum"], r["activity_sum"]),
            marks.get(r["track"], NOTHING), tuple(lufs for track, lufs in measures if track == r["track"]),
        )
        for r in found
    ]  # fmt: skip


def median_lufs(heard: Iterable[Heard]) -> float | None:
    """Returns the median loudness (LUFS) of the crops that were measured, None where none was audible."""
    measured = [lufs for h in heard for lufs in h.lufs if math.isfinite(lufs)]
    return round(float(np.median(measured)), 1) if measured else None


def _count(rows: pa.Table, source: str) -> pa.Table:
    audible = pc.if_else(rows["silent"], 0.0, rows["rms_db"])
    rows = rows.append_column("audible_db", audible).append_column("one", pa.array([1] * len(rows)))
    sums = [(name, "sum") for name in ("silent", "audible_db", "activity", "one")]
    return (
        rows.group_by("track", use_threads=False)
        .aggregate([("offset", "max"), *sums])
        .rename_columns({"one_sum": "crops"})
    )


def _audible_seconds(row: Mapping[str, float], store: CropStore) -> float:
    return row["activity_sum"] * store.length / store.sample_rate


def _sounds(file: pq.ParquetFile, store: CropStore, tracks: set[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Yields track and mono audio (T,) of the crops that are listened to, in their order."""
    last = LISTEN_SECONDS * store.sample_rate
    left = dict.fromkeys(tracks, -(-int(last) // store.length))  # of all its clips together
    for group in range(file.num_row_groups):
        keys = file.read_row_group(group, ["track", "offset"])
        known = pc.is_in(keys["track"], pa.array(sorted(tracks), pa.string()))
        wanted = pc.and_(known, pc.less(keys["offset"], last))
        if not pc.any(wanted).as_py():
            continue
        for track, crop in _decoded(file.read_row_group(group, AUDIO).filter(wanted), store):
            left[track] -= 1
            if left[track] >= 0:
                yield track, crop.mean(axis=0)


def _some(file: pq.ParquetFile, store: CropStore, rows: np.ndarray) -> Iterator[tuple[str, Audio]]:
    """Yields track and audio (C, T) of some rows of a part file, in their order."""
    first = 0
    for group in range(file.num_row_groups):
        size = file.metadata.row_group(group).num_rows
        mine = np.sort(rows[(rows >= first) & (rows < first + size)]) - first
        first += size
        if len(mine):
            yield from _decoded(file.read_row_group(group, AUDIO).take(pa.array(mine)), store)


def _decoded(rows: pa.Table, store: CropStore) -> Iterator[tuple[str, Audio]]:
    """Yields track and audio (C, T) of rows, one by one."""
    for track, gain, audio in zip(*(c.to_pylist() for c in rows.columns), strict=True):
        yield track, decode([unpack(audio, store.encoding)], np.array([gain]), store.channels)[0]
