"""Crops of a finished store are read, all that a split has or part file by part file."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset
import pyarrow.parquet as pq

from vsep_ray import storage
from vsep_ray.crops.encoding import SILENCE_DB, decode, encode, level_db, unpack
from vsep_ray.crops.store import SCHEMA, SONGS_FILE, CropStore, Member

PAIRED = "*"
"""This source stands for aligned crops of all sources."""
COLUMNS = ["track", "offset", "gain", "audio"]
"""Training reads these columns."""


@dataclass(frozen=True)
class Crops:
    """Crops of one source lie in memory.

    Attributes:
        track: song ids, length N.
        offset: int64 (N,), samples.
        silent: bool (N,).
        audio: float32 (N, C, T).
    """

    track: list[str]
    offset: np.ndarray
    silent: np.ndarray
    audio: np.ndarray


def read_crops(store: CropStore, split: str, source: str, limit: int | None = None) -> Crops:
    """Returns crops of one source, sorted by (track, offset): all, or ``limit`` spread evenly over the
    split. Of crops that are longer than the store's the beginning is returned.

    Raises:
        UserError: the store has no such split or source.
    """
    members: dict[Member, list[str]] = {}
    for name in dict.fromkeys(name for name, _ in store.row_groups(split, source)):
        members.setdefault(store.owner(name), []).append(store.part_file(split, source, name))
    keys = pa.concat_tables(_keys(store, member, uris) for member, uris in members.items())
    order = pc.sort_indices(keys, sort_keys=[("track", "ascending"), ("offset", "ascending")]).to_numpy()
    if limit is not None and limit < len(order):
        order = order[np.linspace(0, len(order) - 1, limit).round().astype(int)]
    chosen = keys.take(pa.array(order))
    silent = np.zeros(len(order), bool)
    audio = np.zeros((len(order), store.channels, store.length), np.float32)
    for member, uris in members.items():
        mine = pc.equal(chosen["member"], member.name).to_numpy()
        if mine.any():
            audio[mine], silent[mine] = _beginnings(store, member, uris, chosen["row"].to_numpy()[mine])
    return Crops(chosen["track"].to_pylist(), chosen["offset"].to_numpy(), silent, audio)


def read_part(
    store: CropStore,
    split: str,
    source: str,
    name: str,
    group: int | None = None,
    rows: Sequence[int] | None = None,
) -> pa.Table:
    """Returns one part file of one source, or a row group of it, as columns track, offset, gain and audio,
    which is PCM; all its rows, or those at these places. In a joined store tracks are named by their songs,
    and crops that are longer than the store's are several.
    """
    member = store.owner(name)
    filesystem, path = storage.open_filesystem(store.part_file(split, source, name))
    with pq.ParquetFile(path, filesystem=filesystem) as file:
        table = file.read(COLUMNS) if group is None else file.read_row_group(group, COLUMNS)
    table = table if rows is None else table.take(pa.array(rows, pa.int64()))
    return _pieces(_unpacked(by_songs(table, store, member), member), member.length, store)


def read_aligned(
    store: CropStore, split: str, name: str, group: int | None = None
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Returns one part file of each source of a paired store, or one row group of each. They are song ids,
    offsets (samples), and float32 (N, K, C, T).
    """
    tables = [read_part(store, split, source, name, group) for source in store.sources]
    keys = [t.select(["track", "offset"]) for t in tables]
    assert all(k.equals(keys[0]) for k in keys), "a unit writes the crops of all its sources in one order"
    audio = np.stack([decode_table(t, store.channels) for t in tables], axis=1)
    return keys[0]["track"].to_pylist(), keys[0]["offset"].to_numpy(), audio


def read_rows(batch: Mapping[str, Any], store: CropStore, split: str, source: str) -> pa.Table:
    """Returns a row group's columns track, offset, gain, audio, and member where the store is joined.

    Fresh processes of a cluster import this module before they read: it must not need PyTorch, which takes
    seconds.

    Args:
        batch: its first ``name`` and ``group`` are the part file and the row group.
        store, split, source: where they lie; `PAIRED` has the sources of a row one after the other.
    """
    name, group = batch["name"][0], int(batch["group"][0])
    if source == PAIRED:
        table = _side_by_side(*read_aligned(store, split, name, group))
    else:
        table = read_part(store, split, source, name, group)
    if not store.members:
        return table
    return table.append_column("member", pa.array([store.owner(name).name] * len(table), pa.string()))


def _side_by_side(track: Sequence[str], offset: np.ndarray, audio: np.ndarray) -> pa.Table:
    """Returns aligned crops (N, K, C, T) as rows of K C channels."""
    num, sources, channels, length = audio.shape
    pcm, gain = encode(audio.reshape(num, sources * channels, length))
    rows = [track, offset, gain, [item.tobytes() for item in pcm]]
    return pa.table({n: pa.array(v, SCHEMA.field(n).type) for n, v in zip(COLUMNS, rows, strict=True)})


@functools.lru_cache(maxsize=16)
def _songs(uri: str, content: str, member: str) -> pa.Table:
    """Returns track and song of a member's tracks; the content is that of the joined store at ``uri``."""
    filesystem, path = storage.open_filesystem(storage.join(uri, SONGS_FILE))
    rows = pq.read_table(path, filesystem=filesystem, filters=[("member", "=", member)])
    return rows.select(["track", "song"]).combine_chunks()


def by_songs(table: pa.Table, store: CropStore, member: Member) -> pa.Table:
    """Returns a member's rows under the ids of their songs, without those that are left out."""
    if not store.members:
        return table
    songs = _songs(store.uri, store.content, member.name)
    found = pc.index_in(table["track"], songs["track"].chunk(0))
    table = table.set_column(table.schema.get_field_index("track"), "track", songs["song"].take(found))
    return table.filter(pc.is_valid(table["track"]))


def _pieces(table: pa.Table, length: int, store: CropStore) -> pa.Table:
    """Returns crops of ``length`` as crops of the store's, as many as hold all of it, evenly apart."""
    if length == store.length:
        return table
    starts = np.linspace(0, length - store.length, -(-length // store.length)).round().astype(int)
    cuts = [slice(2 * store.channels * s, 2 * store.channels * (s + store.length)) for s in starts]
    audio = [row[cut] for row in table["audio"].to_pylist() for cut in cuts]
    rows = table.drop_columns("audio").take(np.repeat(np.arange(len(table)), len(starts)))
    offset = pc.add(rows["offset"], pa.array(np.tile(starts, len(table))))
    rows = rows.set_column(rows.schema.get_field_index("offset"), "offset", offset)
    return rows.append_column("audio", pa.array(audio, pa.binary()))


def _rows(uris: Sequence[str]) -> pyarrow.dataset.Dataset:
    filesystem, _ = storage.open_filesystem(uris[0])
    paths = [storage.open_filesystem(uri)[1] for uri in uris]
    return pyarrow.dataset.dataset(paths, filesystem=filesystem, format="parquet", schema=SCHEMA)


def _keys(store: CropStore, member: Member, uris: Sequence[str]) -> pa.Table:
    """Returns track, offset, number of the row, and member of the rows that are not left out."""
    keys = _rows(uris).to_table(columns=["track", "offset"])
    keys = keys.append_column("row", pa.array(np.arange(len(keys))))
    return by_songs(keys.append_column("member", pa.array([member.name] * len(keys))), store, member)


def _beginnings(
    store: CropStore, member: Member, uris: Sequence[str], rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the audio (N, C, T) of some rows of a member, cut to the store's length, and whether each is
    silent (N,).
    """
    table = _unpacked(_rows(uris).take(pa.array(rows)), member)
    audio = decode_table(table, store.channels)[..., : store.length]
    silent = level_db(audio) < SILENCE_DB if member.length > store.length else table["silent"].to_numpy()
    return audio, silent


def _unpacked(table: pa.Table, member: Member) -> pa.Table:
    if member.encoding == "pcm":
        return table
    audio = pa.array([unpack(item.as_py(), member.encoding) for item in table["audio"]], pa.binary())
    return table.set_column(table.schema.get_field_index("audio"), "audio", audio)


def decode_table(table: pa.Table, channels: int) -> np.ndarray:
    """Returns the audio of rows that `read_part` gave, float32 (N, C, T)."""
    return decode(table["audio"].to_pylist(), table["gain"].to_numpy(), channels)
