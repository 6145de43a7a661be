"""Crops of a finished store are read, all that a split has or part file by part file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset
import pyarrow.parquet as pq

from vsep_ray import storage
from vsep_ray.crops.encoding import decode, encode, unpack
from vsep_ray.crops.store import SCHEMA, CropStore

PAIRED = "*"
"""This source stands for aligned crops of all sources."""


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
    split.

    Raises:
        UserError: the store has no such split or source.
    """
    filesystem, folder = storage.open_filesystem(store.partition(split, source))
    paths = list(dict.fromkeys(f"{folder}/{name}" for name, _ in store.row_groups(split, source)))
    rows = pyarrow.dataset.dataset(paths, filesystem=filesystem, format="parquet", schema=SCHEMA)
    keys = rows.to_table(columns=["track", "offset"])
    order = pc.sort_indices(keys, sort_keys=[("track", "ascending"), ("offset", "ascending")]).to_numpy()
    if limit is not None and limit < len(order):
        order = order[np.linspace(0, len(order) - 1, limit).round().astype(int)]
    table = _unpacked(rows.take(pa.array(order)), store)
    return Crops(
        track=table["track"].to_pylist(),
        offset=table["offset"].to_numpy(),
        silent=table["silent"].to_numpy(),
        audio=decode_table(table, store.channels),
    )


def read_part(
    store: CropStore,
    split: str,
    source: str,
    name: str,
    group: int | None = None,
    rows: Sequence[int] | None = None,
) -> pa.Table:
    """Returns one part file of one source, or a row group of it, as rows of `SCHEMA`, the audio as PCM; all
    its rows, or those at these places.
    """
    filesystem, path = storage.open_filesystem(storage.join(store.partition(split, source), name))
    with pq.ParquetFile(path, filesystem=filesystem) as file:
        table = file.read() if group is None else file.read_row_group(group)
    return _unpacked(table if rows is None else table.take(pa.array(rows, pa.int64())), store)


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


def read_rows(batch: Mapping[str, Any], store: CropStore, split: str, source: str) -> Any:
    """Returns a row group's columns track, offset, gain, audio, in the form that Ray Data takes.

    Fresh processes of a cluster import this module before they read: it must not need PyTorch, which takes
    seconds.

    Args:
        batch: its first ``name`` and ``group`` are the part file and the row group.
        store, split, source: where they lie; `PAIRED` has the sources of a row one after the other.
    """
    name, group = batch["name"][0], int(batch["group"][0])
    if source != PAIRED:
        return read_part(store, split, source, name, group).select(["track", "offset", "gain", "audio"])
    track, offset, audio = read_aligned(store, split, name, group)
    pcm, gain = encode(audio.reshape(len(audio), -1, audio.shape[-1]))
    columns = {"track": np.array(track), "offset": offset, "gain": gain}
    return {**columns, "audio": np.array([item.tobytes() for item in pcm], object)}


def decode_table(table: pa.Table, channels: int) -> np.ndarray:
    """Returns the audio of rows that `read_part` gave, float32 (N, C, T)."""
    return decode(table["audio"].to_pylist(), table["gain"].to_numpy(), channels)


def _unpacked(table: pa.Table, store: CropStore) -> pa.Table:
    if store.encoding == "pcm":
        return table
    audio = pa.array([unpack(item.as_py(), store.encoding) for item in table["audio"]], pa.binary())
    return table.set_column(table.schema.get_field_index("audio"), "audio", audio)
