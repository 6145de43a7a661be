"""The crop store holds excerpts of equal length, in Parquet, partitioned by split and source.

::

    <uri>/_store.json                               rate, length, sources, scales, splits, statistics
    <uri>/_parts.parquet                            split, source, name, row groups of every part file
    <uri>/_quarantine.parquet                       uri, stage, reason of what could not be stored
    <uri>/split=train/source=drums/part-*.parquet   one row per crop (`SCHEMA`)
    <uri>/split=train/source=mixture/...            paired data only: sum_k a_k s_k of the aligned crops
    <uri>/split=train/source=mixture_published/...  where the data set has mixtures of its own
    <uri>/_plan.json, <uri>/_units/                 what `vsep_ray.crops.writing` needs to resume
    <uri>/data.html                                 a page to look at and listen to; nothing reads it

A joined store (`vsep_ray.crops.joining`) has no part files of its own, but names those of its members::

    <uri>/_parts.parquet                            the same; a name is <member>/<name in the member>
    <uri>/_songs.parquet                            member, track, split, seconds, song of every track
    <uri>/data.html                                 the same
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vsep_ray import storage
from vsep_ray.config import UserError, from_dict, to_dict
from vsep_ray.crops.statistics import Contribution, SourceStatistics, SplitStatistics
from vsep_ray.datasets.track import CropConfig, Encoding

FORMAT = 3
"""The number of the store's layout and of its division into units: part of the fingerprint, so that stores of
different numbers are never mixed; ``_store.json`` has it since 3 (FORMATS.md)."""
JOINED_FORMAT = 5
"""The number of joined stores, the highest that is read; 4 told RMS levels of what members contribute."""
STORE_FILE = "_store.json"
PARTS_FILE = "_parts.parquet"
SONGS_FILE = "_songs.parquet"
SCHEMA = pa.schema(
    [
        ("track", pa.string()),  # the song: excerpts of one song never meet in a training mixture of regime B
        ("offset", pa.int64()),  # samples from the beginning, at the store's rate
        ("rms_db", pa.float32()),
        ("peak", pa.float32()),
        ("silent", pa.bool_()),
        ("activity", pa.float32()),  # share of its 50 ms frames that are not silent
        ("gain", pa.float32()),  # audio = gain * pcm / 32768; 1 unless the crop exceeds full scale
        ("audio", pa.binary()),  # little-endian int16 of shape (T, C), or a FLAC file of it
    ]
)

COMPRESSION: dict[Encoding, str] = {"pcm": "lz4", "flac": "none"}
"""Parquet's compression of each encoding: of PCM it shrinks silence, and costs little."""


@dataclass(frozen=True)
class Member:
    """A store is a member of the joined one that reads its part files.

    Attributes:
        name: begins the names of its part files and the ids of its songs.
        uri: folder or s3://, gs:// URI.
        content: its `CropStore.mark` when it was joined.
        length: samples of its crops; longer ones are read in pieces of the joined store's length.
        encoding: of its column ``audio``.
        weight: relative frequency with which its crops are drawn; 0: as often as they are many.
    """

    name: str
    uri: str
    content: str
    length: int
    encoding: Encoding
    weight: float = 0.0


@dataclass(frozen=True)
class CropStore:
    """A store is described by its ``_store.json``, once finished; what is known only then has a default.

    Attributes:
        uri: folder or s3://, gs:// URI.
        dataset: what it was made of; see `vsep_ray.datasets.dataset.Dataset.name`.
        sample_rate: Hz.
        channels: audio channels of every crop.
        length: samples of every crop.
        sources: class names, in the order of axis K.
        scales: a_k of the mixing, in the same order.
        paired: whether crops of different sources at one (track, offset) belong together.
        splits: statistics per split.
        statistics: statistics per source, ``mixture`` included where it is stored.
        quarantined: number of rows in the quarantine table.
        fingerprint: hash of the options and of the listing of the inputs.
        content: hash of all rows and their PCM, whatever the encoding.
        encoding: of the column ``audio``.
        format: the number of the layout; 0: not stated.
        revision: git revision of the code that wrote it, or ``""``.
        members: the stores whose part files a joined store reads, else none.
        contributions: what each member has of each source in each split.
    """

    uri: str
    dataset: str
    sample_rate: int
    channels: int
    length: int
    sources: tuple[str, ...]
    scales: tuple[float, ...]
    paired: bool
    fingerprint: str
    encoding: Encoding = "pcm"
    splits: dict[str, SplitStatistics] = field(default_factory=dict)
    statistics: dict[str, SourceStatistics] = field(default_factory=dict)
    quarantined: int = 0
    content: str = ""
    revision: str = ""
    format: int = 0
    members: tuple[Member, ...] = ()
    contributions: tuple[Contribution, ...] = ()

    @classmethod
    def open(cls, uri: str) -> "CropStore":
        """Returns what ``<uri>/_store.json`` says.

        Raises:
            UserError: there is no finished crop store at ``uri``, one that this version cannot read, or one
                that was joined of stores which are gone or have changed.
        """
        path = storage.join(uri, STORE_FILE)
        if not storage.exists(path):
            raise UserError(
                f"no finished crop store in {uri}; make one with jobs/prepare_crops.py --output {uri}"
            )
        value = json.loads(storage.read_bytes(path))
        value.pop(storage.FINISHED, None)
        if (found := value.get("format", 0)) > JOINED_FORMAT:
            raise UserError(
                f"{uri} is a crop store of format {found}, this version reads up to {JOINED_FORMAT}; "
                "update vsep_ray"
            )
        if not storage.exists(storage.join(uri, PARTS_FILE)):
            raise UserError(
                f"{uri} is a crop store of an early format, without {PARTS_FILE}; prepare it again"
            )
        for name, inner in {"splits": SplitStatistics, "statistics": SourceStatistics}.items():
            value[name] = {k: from_dict(inner, v) for k, v in value[name].items()}
        for contribution in value.get("contributions", ()):
            contribution.pop("level_db", None)
        store = from_dict(cls, {**value, "uri": uri})  # the folder may have been moved since it was written
        if changed := [m.uri for m in store.members if cls.open(m.uri).mark != m.content]:
            raise UserError(
                f"{uri} was joined of {changed[0]}, which has changed since; "
                "name the stores by --crops once more"
            )
        return store

    def save(self) -> None:
        """Writes ``_store.json``; from then on the store counts as finished."""
        value = {k: v for k, v in to_dict(self).items() if v != []}  # older code knows no members
        value |= storage.finished_now()
        storage.write_bytes(storage.join(self.uri, STORE_FILE), json.dumps(value, indent=1).encode())

    @property
    def crop(self) -> CropConfig:
        """The format of its crops."""
        return CropConfig(self.sample_rate, self.channels, self.length, self.encoding)

    @property
    def mark(self) -> str:
        """What tells the data from other data: runs on it are named by it."""
        return self.content or self.fingerprint

    def parts(self, split: str = "", source: str = "") -> list[dict[str, Any]]:
        """Returns split, source, name and number of row groups of every part file, or of those of one split
        and source.
        """
        filesystem, path = storage.open_filesystem(storage.join(self.uri, PARTS_FILE))
        chosen = [("split", "=", split), ("source", "=", source)] if split else None
        return pq.read_table(path, filesystem=filesystem, filters=chosen).to_pylist()

    def row_groups(self, split: str, source: str) -> list[tuple[str, int]]:
        """Returns all row groups of one source in one split, each as the name of the part file and the index
        in it.

        Raises:
            UserError: the store has no such split or source.
        """
        parts = self.parts(split, source)
        if not parts:
            contents = f"splits {', '.join(self.splits)} and sources {', '.join(self.statistics)}"
            raise UserError(
                f"no crops of source {source!r} in split {split!r} of {self.uri}; it has {contents}"
            )
        return [(part["name"], i) for part in parts for i in range(part["groups"])]

    def holds(self, split: str, source: str) -> bool:
        """Returns whether there are crops of one source in one split."""
        return bool(self.parts(split, source))

    def owner(self, name: str) -> Member:
        """Returns the member that holds a part file, this store itself where it is not joined."""
        itself = Member("", self.uri, self.mark, self.length, self.encoding)
        return next((m for m in self.members if m.name == name.rpartition("/")[0]), itself)

    def part_file(self, split: str, source: str, name: str) -> str:
        """Returns the URI of a part file of one source in one split."""
        return storage.join(partition(self.owner(name).uri, split, source), name.rpartition("/")[2])

    @property
    def weights(self) -> dict[str, float]:
        """The weights of the members by their names, none where crops are drawn as often as they are many."""
        return {m.name: m.weight for m in self.members if m.weight}


def write_index(uri: str, parts: Sequence[tuple[str, str, str, int]]) -> None:
    """Writes ``<uri>/_parts.parquet``: split, source, name and number of row groups of every part file."""
    names = ("split", "source", "name", "groups")
    table = pa.table({n: [part[i] for part in parts] for i, n in enumerate(names)})
    with storage.write_local(storage.join(uri, PARTS_FILE)) as path:
        pq.write_table(table, path)


def partition(uri: str, split: str, source: str) -> str:
    """Returns the folder of one source in one split of the store at ``uri``."""
    return storage.join(uri, f"split={split}", f"source={source}")


def latest_store(root: str) -> str | None:
    """Returns the finished store in ``<root>/crops`` that was written last, None where there is none."""
    folder = storage.join(root, "crops")
    found = storage.newest_first(folder, STORE_FILE)
    return storage.parent(storage.join(folder, found[0])) if found else None
