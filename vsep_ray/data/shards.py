"""Writing a crop store, unit by unit: a unit is a few tracks of one split, done by one process, and done
once.

A unit writes its part files first and its record ``<uri>/_units/<key>.json`` last: the record is the commit.
Part names carry the unit's key, so that a unit that is done again replaces what it left. ``_plan.json`` ties
a folder to one fingerprint.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vsep_ray.audio.dsp import Audio, fit_length
from vsep_ray.audio.formats import AudioError
from vsep_ray.config import UserError, from_dict, to_dict
from vsep_ray.data import storage
from vsep_ray.data.crops import (
    MIXTURE,
    PUBLISHED,
    CropConfig,
    CropStore,
    partition,
    to_table,
)
from vsep_ray.data.statistics import SourceCount, SplitStatistics, count_crops, source_statistics
from vsep_ray.data.track import Track

PLAN_FILE = "_plan.json"
UNITS = "_units"
QUARANTINE_FILE = "_quarantine.parquet"
ROW_GROUP_BYTES = 8 << 20
"""Audio bytes of one Parquet row group, which a reader holds in memory whole."""


class BadFileError(AudioError):
    """An `AudioError` that knows which file it is about."""

    def __init__(self, uri: str, error: AudioError) -> None:
        super().__init__(error.stage, error.message)
        self.uri = uri


@dataclass(frozen=True)
class Layout:
    """What all units of a store share; see `CropStore`."""

    uri: str
    dataset: str
    crop: CropConfig
    sources: tuple[str, ...]
    scales: tuple[float, ...]
    paired: bool
    fingerprint: str


@dataclass(frozen=True)
class Unit:
    """Tracks of one split that are written together."""

    key: str
    split: str
    tracks: tuple[Track, ...]


@dataclass(frozen=True)
class Rejected:
    """A row of the quarantine table."""

    uri: str
    stage: str
    reason: str


@dataclass(frozen=True)
class Record:
    """What became of a unit: ``tracks`` are the ids of those that were stored."""

    key: str
    split: str
    tracks: tuple[str, ...]
    counts: tuple[SourceCount, ...]
    rejected: tuple[Rejected, ...]


def divide(tracks: Sequence[Track], size: int) -> list[Unit]:
    """Units of at most ``size`` tracks, each of one split; the same tracks make the same units."""
    units: list[Unit] = []
    for split in dict.fromkeys(t.split for t in tracks):
        chosen = [t for t in tracks if t.split == split]
        for start in range(0, len(chosen), size):
            units.append(Unit(f"{len(units):07d}", split, tuple(chosen[start : start + size])))
    return units


def begin(layout: Layout, fresh: bool) -> None:
    """Claim the folder of a store, or go on with what an interrupted run of the same fingerprint left.

    Raises:
        UserError: the folder holds something else.
    """
    if fresh and storage.exists(storage.join(layout.uri, PLAN_FILE)):
        filesystem, path = storage.open_filesystem(layout.uri)
        filesystem.delete_dir_contents(path)
    found = _claim(layout.uri)
    if found is None:
        storage.write_bytes(storage.join(layout.uri, PLAN_FILE), json.dumps(to_dict(layout)).encode())
    elif found != layout.fingerprint:
        raise UserError(
            f"{layout.uri} holds crops of fingerprint {found}, these options and files make "
            f"{layout.fingerprint}; choose another --output, or --fresh to replace them"
        )


def write_unit(layout: Layout, unit: Unit, load: Callable[[Track], Mapping[str, Audio]]) -> Record:
    """Load the tracks of a unit, cut them, write a part file per source, then the record.

    Args:
        load: a track's audio by source, (C, T) at the store's rate and channels; raises `BadFileError`.
    """
    tables: dict[str, list[pa.Table]] = {}
    stored, rejected = [], []
    for track in unit.tracks:
        try:
            audio = align(load(track), layout)
        except BadFileError as error:
            rejected.append(Rejected(error.uri, error.stage, error.message))
            continue
        stored.append(track.id)
        for source, samples in audio.items():
            tables.setdefault(source, []).append(to_table(track.id, samples, layout.crop.length))
    counts = tuple(_write_part(layout, unit, source, pa.concat_tables(t)) for source, t in tables.items())
    return _commit(layout, Record(unit.key, unit.split, tuple(stored), counts, tuple(rejected)))


def give_up(layout: Layout, unit: Unit, reason: str) -> Record:
    """Record a unit whose tracks take their process with them, so that no later run tries them again."""
    uris = [uri for t in unit.tracks for s in t.stems for uri in s.uris]
    rejected = tuple(Rejected(uri, "crash", reason) for uri in dict.fromkeys(uris))
    return _commit(layout, Record(unit.key, unit.split, (), (), rejected))


def align(audio: Mapping[str, Audio], layout: Layout) -> dict[str, Audio]:
    """The partitions of one track: its clips as they are, or the aligned sources of a paired one with their
    mixture.

    Paired sources are padded to the longest; one that the track lacks is silent there. The mixture is sum_k
    a_k s_k.
    """
    if not layout.paired:
        return {source: samples for source, samples in audio.items() if source in layout.sources}
    kept = [s for s in (*layout.sources, PUBLISHED) if s in audio]
    length = max(audio[s].shape[1] for s in kept)
    silence = np.zeros((layout.crop.channels, length), np.float32)
    aligned = {s: fit_length(audio[s], length) if s in audio else silence for s in (*layout.sources, *kept)}
    mixture = sum(a * aligned[s] for a, s in zip(layout.scales, layout.sources, strict=True))
    return {**aligned, MIXTURE: np.asarray(mixture, np.float32)}


def records(uri: str) -> list[Record]:
    """The records of all finished units of a store, in the order of their keys."""
    folder = storage.join(uri, UNITS)
    names = [n for n in storage.list_files(folder) if n.endswith(".json")] if storage.exists(folder) else []
    return [from_dict(Record, json.loads(storage.read_bytes(storage.join(folder, n)))) for n in names]


def finish(layout: Layout, done: Sequence[Record], revision: str) -> CropStore:
    """Write the quarantine table and, last of all, ``_store.json``.

    Raises:
        UserError: a source has no audible crop to train on.
    """
    rejected = [r for record in done for r in record.rejected]
    columns = {name: [getattr(r, name) for r in rejected] for name in ("uri", "stage", "reason")}
    schema = pa.schema([(name, pa.string()) for name in columns])
    with storage.write_local(storage.join(layout.uri, QUARANTINE_FILE)) as path:
        pq.write_table(pa.table(columns, schema=schema), path)
    _check_audible(layout, done)
    store = CropStore(
        uri=layout.uri,
        dataset=layout.dataset,
        sample_rate=layout.crop.sample_rate,
        channels=layout.crop.channels,
        length=layout.crop.length,
        sources=layout.sources,
        scales=layout.scales,
        paired=layout.paired,
        splits={s: _split_statistics(layout, done, s) for s in dict.fromkeys(r.split for r in done)},
        statistics=source_statistics(c for r in done for c in r.counts),
        quarantined=len(rejected),
        fingerprint=layout.fingerprint,
        revision=revision,
    )
    store.save()
    return store


def _claim(uri: str) -> str | None:
    if storage.exists(storage.join(uri, PLAN_FILE)):
        return json.loads(storage.read_bytes(storage.join(uri, PLAN_FILE)))["fingerprint"]
    if storage.exists(uri) and storage.list_files(uri):
        raise UserError(f"{uri} holds files of something else; choose an empty folder for --output")
    return None


def _commit(layout: Layout, record: Record) -> Record:
    uri = storage.join(layout.uri, UNITS, f"{record.key}.json")
    storage.write_bytes(uri, json.dumps(to_dict(record)).encode())
    return record


def _write_part(layout: Layout, unit: Unit, source: str, table: pa.Table) -> SourceCount:
    folder = partition(layout.uri, unit.split, source)
    rows = max(1, ROW_GROUP_BYTES // (2 * layout.crop.channels * layout.crop.length))
    with storage.write_local(storage.join(folder, f"part-{unit.key}.parquet")) as path:
        pq.write_table(table, path, compression="zstd", row_group_size=rows)
    return count_crops(source, table)


def _check_audible(layout: Layout, done: Sequence[Record]) -> None:
    trained = [c for r in done if r.split == "train" for c in r.counts]
    for source in layout.sources:
        if not sum(c.crops - c.silent for c in trained if c.source == source):
            table = storage.join(layout.uri, QUARANTINE_FILE)
            raise UserError(
                f"source {source!r} has no audible crop to train on; mend the files that {table} lists, "
                "or leave the source out with --sources"
            )


def _split_statistics(layout: Layout, done: Sequence[Record], split: str) -> SplitStatistics:
    mine = [r for r in done if r.split == split]
    crops = sum(c.crops for r in mine for c in r.counts if c.source in layout.sources)
    songs = len({t for r in mine for t in r.tracks})
    return SplitStatistics(songs, crops, crops * layout.crop.length / layout.crop.sample_rate)
