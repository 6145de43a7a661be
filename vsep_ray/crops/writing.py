"""A crop store is written unit by unit: a unit is some tracks of one split, done by one process, and done
once.

A unit writes its part files first and its record ``<uri>/_units/<key>.json`` last: the record is the commit.
Part names carry the unit's key, so that a unit that is done again replaces what it left. ``_plan.json`` ties
a folder to one fingerprint.
"""

import contextlib
import functools
import json
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vsep_ray import storage
from vsep_ray.config import UserError, fingerprint, from_dict, to_dict
from vsep_ray.crops.part_files import Open, cut, write_parts
from vsep_ray.crops.statistics import SourceCount, SplitStatistics, source_statistics
from vsep_ray.crops.store import FORMAT, STORE_FILE, CropStore, partition, write_index
from vsep_ray.datasets.streams import BadFileError
from vsep_ray.datasets.track import Track

PLAN_FILE = "_plan.json"
UNITS = "_units"
QUARANTINE_FILE = "_quarantine.parquet"
UNIT_BYTES = 128 << 20
"""Input bytes of a unit: seconds of work, beside which Ray's 0.15 s between two tasks count little. A larger
track is a unit of its own."""
UNIT_TRACKS = 256
"""The most tracks of a unit."""
FEWEST_UNITS = 8
"""Units that a data set of enough tracks makes at least: work for several cores, little lost by a crash."""


@dataclass(frozen=True)
class Unit:
    """A unit is tracks of one split that are written together. Files in ``deadly`` take their process with
    them, and are not opened.
    """

    key: str
    split: str
    tracks: tuple[Track, ...]
    deadly: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rejected:
    """A file that cannot be used is a row of the quarantine table."""

    uri: str
    stage: str
    reason: str


@dataclass(frozen=True)
class Record:
    """A record says what became of a unit; ``tracks`` are the ids of the stored ones."""

    key: str
    split: str
    tracks: tuple[str, ...]
    counts: tuple[SourceCount, ...]
    rejected: tuple[Rejected, ...]


def divide(tracks: Sequence[Track], sizes: Sequence[int]) -> list[Unit]:
    """Returns units of neighbouring tracks of one split; the same tracks make the same units.

    Args:
        tracks: all of the data set.
        sizes: bytes of each track's files.
    """
    most = min(UNIT_TRACKS, max(1, len(tracks) // FEWEST_UNITS))
    groups: list[list[Track]] = []
    room = 0
    for split in dict.fromkeys(t.split for t in tracks):
        for track, size in ((t, n) for t, n in zip(tracks, sizes, strict=True) if t.split == split):
            if not groups or groups[-1][0].split != split or size > room or len(groups[-1]) == most:
                groups.append([])
                room = UNIT_BYTES
            groups[-1].append(track)
            room -= size
    return [Unit(f"{i:07d}", group[0].split, tuple(group)) for i, group in enumerate(groups)]


def begin(store: CropStore, fresh: bool) -> None:
    """Claims the folder of a store, or goes on with what an interrupted run of the same fingerprint left.

    Raises:
        UserError: the folder holds something else.
    """
    plan = storage.join(store.uri, PLAN_FILE)
    if fresh and storage.exists(plan):
        _clear(store.uri)
    if storage.exists(plan):
        found = json.loads(storage.read_bytes(plan))["fingerprint"]
        if found != store.fingerprint:
            raise UserError(
                f"{store.uri} holds crops of fingerprint {found}, these options and files make "
                f"{store.fingerprint}; choose another --output, or --fresh to replace them"
            )
        return
    if not all(map(storage.is_leftover, storage.list_files(store.uri))):
        raise UserError(f"{store.uri} holds files of something else; choose an empty folder for --output")
    storage.write_bytes(plan, json.dumps(to_dict(store)).encode())


def write_unit(store: CropStore, unit: Unit, open_track: Open) -> Record:
    """Cuts the tracks of a unit, writes a part file per source, then the record. If a file is bad, the unit
    is written again without the tracks that need it: bad files are rare, and no audio has to be held back.

    Args:
        open_track: raises `BadFileError`, at once or on the way.
    """
    tracks = tuple(t for t in unit.tracks if not set(t.files) & set(unit.deadly))
    lost = dict.fromkeys(uri for t in unit.tracks if t not in tracks for uri in t.files)
    rejected = [Rejected(uri, "crash", "a process died on it, twice") for uri in lost]
    folder = functools.partial(partition, store.uri, unit.split)
    while True:
        crops = cut(tracks, open_track, store.sources, store.scales, store.paired, store.length)
        try:
            counts = write_parts(folder, _part_name(unit.key), store.crop, crops)
        except BadFileError as error:
            rejected.append(Rejected(error.uri, error.stage, error.message))
            kept = tuple(t for t in tracks if error.uri not in t.files)
            assert len(kept) < len(tracks), f"{error.uri} is none of the unit's files"
            tracks = kept
        else:
            ids = tuple(t.id for t in tracks)
            record = Record(unit.key, unit.split, ids, counts, tuple(rejected))
            committed = storage.join(store.uri, UNITS, f"{unit.key}.json")
            storage.write_bytes(committed, json.dumps(to_dict(record)).encode())
            return record


def read_through(unit: Unit, open_track: Open) -> None:
    """Reads all of a unit's first track, and does nothing with it: bad files are found again when the unit is
    written.
    """
    with contextlib.suppress(BadFileError):
        for stream in open_track(unit.tracks[0]).values():
            for _ in stream:
                pass


def attempt(row: Mapping[str, Any], do: Callable[[Unit], Any]) -> dict[str, str]:
    """Does something with a unit, and returns its name and what went wrong, if anything did.

    Fresh processes of a cluster import this module before they write: it must not need PyTorch, which takes
    seconds.

    Args:
        row: ``unit`` is the unit as JSON.
        do: what is done.
    """
    unit, error = from_dict(Unit, json.loads(row["unit"])), ""
    try:
        do(unit)
    except Exception:
        # a full disk or a bug, never a bad file; as text, since Ray cannot carry every exception
        error = traceback.format_exc()
    return {"key": name_of(unit), "error": error}


def name_of(unit: Unit) -> str:
    """Returns what tells a unit from others of the same key that hold single tracks of it."""
    return f"{unit.key} {unit.tracks[0].files}"


def records(uri: str) -> list[Record]:
    """Returns the records of all finished units of a store, in the order of their keys."""
    folder = storage.join(uri, UNITS)
    names = [name for name in storage.list_folder(folder) if name.endswith(".json") and name[0] != "."]
    return [from_dict(Record, json.loads(storage.read_bytes(storage.join(folder, n)))) for n in names]


def finish(store: CropStore, done: Sequence[Record], revision: str) -> CropStore:
    """Writes the quarantine table, the list of part files and, last of all, ``_store.json``.

    Raises:
        UserError: a source has no audible crop to train on.
    """
    rejected = [r for record in done for r in record.rejected]
    _write_quarantine(store, rejected)
    _check_audible(store, done)
    write_index(store.uri, [(r.split, c.source, _part_name(r.key), c.groups) for r in done for c in r.counts])
    finished = replace(
        store,
        splits={s: _split_statistics(store, done, s) for s in dict.fromkeys(r.split for r in done)},
        statistics=source_statistics(c for r in done for c in r.counts),
        quarantined=len(rejected),
        content=fingerprint([[r.split, c.source, c.digest] for r in done for c in r.counts]),
        revision=revision,
        format=FORMAT,
    )
    for name in filter(storage.is_leftover, storage.list_files(store.uri)):
        storage.delete(storage.join(store.uri, name))
    finished.save()
    return finished


def _write_quarantine(store: CropStore, rejected: Sequence[Rejected]) -> None:
    rows = [{name: storage.printable(text) for name, text in vars(r).items()} for r in rejected]
    schema = pa.schema([(name, pa.string()) for name in ("uri", "stage", "reason")])
    with storage.write_local(storage.join(store.uri, QUARANTINE_FILE)) as path:
        pq.write_table(pa.Table.from_pylist(rows, schema), path)


def _part_name(key: str) -> str:
    return f"part-{key}.parquet"


def _clear(uri: str) -> None:
    """Empties a store so that it can be killed on the way. What calls it finished goes first, what claims the
    folder goes last.
    """
    names = [n for n in storage.list_files(uri) if n not in (STORE_FILE, PLAN_FILE)]
    records = [n for n in names if n.startswith(f"{UNITS}/")]
    for name in (STORE_FILE, *records, *(n for n in names if n not in records), PLAN_FILE):
        storage.delete(storage.join(uri, name))


def _check_audible(store: CropStore, done: Sequence[Record]) -> None:
    trained = [c for r in done if r.split == "train" for c in r.counts]
    for source in store.sources:
        if not sum(c.crops - c.silent for c in trained if c.source == source):
            table = storage.join(store.uri, QUARANTINE_FILE)
            raise UserError(
                f"source {source!r} has no audible crop to train on; mend the files that {table} lists, "
                "or leave the source out with --sources"
            )


def _split_statistics(store: CropStore, done: Sequence[Record], split: str) -> SplitStatistics:
    mine = [r for r in done if r.split == split]
    crops = sum(c.crops for r in mine for c in r.counts if c.source in store.sources)
    songs = len({t for r in mine for t in r.tracks})
    return SplitStatistics(songs, crops, crops * store.length / store.sample_rate)
