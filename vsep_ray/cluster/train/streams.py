"""Crop stores as Ray data sets, which training workers stream pass after pass."""

import functools
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import ray.data

from vsep_ray.cluster.runtime import capacity
from vsep_ray.cluster.runtime.ray_private import seed_of_passes
from vsep_ray.config import UserError
from vsep_ray.crops import reading
from vsep_ray.crops.encoding import encode
from vsep_ray.crops.store import CropStore

READERS_PER_CPU = 2
"""Tasks that read at a time: few, since every fresh worker process first imports for seconds."""
MAX_BLOCKS = 1_000
"""What a pass puts into random order: blocks of row groups, at most so many."""


def crop_dataset(store: CropStore, split: str, source: str, seed: int = 0) -> ray.data.Dataset:
    """The crops of one source as a lazy Ray data set of columns track, offset, gain, audio.

    ``audio`` stays raw bytes; a consumer turns a batch into float32 (N, C, T) by
    ``encoding.decode(batch["audio"], batch["gain"], store.channels)``. Every pass has the row groups in
    another order; the seed repeats them where Ray preserves the order of blocks.
    """
    read = functools.partial(_clips, store=store, split=split, source=source)
    return _groups(store, split, source, read, seed)


def paired_dataset(store: CropStore, split: str, seed: int = 0) -> ray.data.Dataset:
    """Aligned crops of all sources as a lazy Ray data set, like `crop_dataset`.

    ``encoding.decode(batch["audio"], batch["gain"], K * C)`` gives float32 (N, K * C, T), source by source.

    Raises:
        UserError: the store is not paired.
    """
    if not store.paired:
        raise UserError(f"{store.uri} holds clips of a folder per source, which belong to no common mixture")
    read = functools.partial(_aligned, store=store, split=split)
    return _groups(store, split, store.sources[0], read, seed)


def _groups(
    store: CropStore, split: str, source: str, read: Callable[..., Any], seed: int
) -> ray.data.Dataset:
    """Row group by row group through ``read``, those of one song far apart.

    Not `ray.data.read_parquet`: its listing task asks for a whole CPU, and on a small machine waits for ever
    for the one that training holds.
    """
    found = store.row_groups(split, source)
    seed = zlib.crc32(f"{seed} {source}".encode())  # the sources of a paired store must not go in step
    order = np.random.default_rng(seed).permutation(len(found))
    blocks = min(len(found), MAX_BLOCKS)
    items = [{"name": found[i][0], "group": found[i][1]} for i in order]
    groups = ray.data.from_items(items, override_num_blocks=blocks)
    readers = READERS_PER_CPU * capacity.cpus()
    shuffled = groups.randomize_block_order(seed=seed_of_passes(seed))
    return shuffled.map_batches(
        read,
        batch_size=1,
        num_cpus=capacity.READ_CPUS,
        compute=ray.data.TaskPoolStrategy(min(readers, blocks)),
    )


def _clips(batch: dict[str, Any], store: CropStore, split: str, source: str) -> pa.Table:
    table = reading.read_part(store, split, source, batch["name"][0], int(batch["group"][0]))
    return table.select(["track", "offset", "gain", "audio"])


def _aligned(batch: dict[str, Any], store: CropStore, split: str) -> dict[str, Any]:
    track, offset, audio = reading.read_aligned(store, split, batch["name"][0], int(batch["group"][0]))
    pcm, gain = encode(audio.reshape(len(audio), -1, audio.shape[-1]))
    columns = {"track": np.array(track), "offset": offset, "gain": gain}
    return {**columns, "audio": np.array([item.tobytes() for item in pcm], object)}
