"""Crop stores as Ray data sets, which training workers stream pass after pass."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import ray.data
from ray.data._internal.random_config import RandomSeedConfig  # without it every pass has the same order

from vsep_ray.config import UserError
from vsep_ray.data import crops, storage
from vsep_ray.data.pcm import encode

READ_CPUS = 0.25
"""Logical CPUs of a task that reads crops: training workers leave that much of theirs."""
READERS_PER_CPU = 2
"""Tasks that read at a time: few, since every fresh worker process first imports for seconds."""
MAX_BLOCKS = 1_000
"""What a pass puts into random order: groups of part files, at most so many."""


def crop_dataset(store: crops.CropStore, split: str, source: str, seed: int = 0) -> ray.data.Dataset:
    """The crops of one source as a lazy Ray data set of columns track, offset, gain, audio.

    ``audio`` stays raw bytes; a consumer turns a batch into float32 (N, C, T) by
    ``pcm.decode(batch["audio"], batch["gain"], store.channels)``. Every pass has the part files in another
    order; the seed repeats them where Ray preserves the order of blocks.
    """
    read = functools.partial(_clips, store=store, split=split, source=source)
    return _parts(store, split, source, read, seed)


def paired_dataset(store: crops.CropStore, split: str, seed: int = 0) -> ray.data.Dataset:
    """Aligned crops of all sources as a lazy Ray data set, like `crop_dataset`.

    ``pcm.decode(batch["audio"], batch["gain"], K * C)`` gives float32 (N, K * C, T), source by source.

    Raises:
        UserError: the store is not paired.
    """
    if not store.paired:
        raise UserError(f"{store.uri} holds clips of a folder per source, which belong to no common mixture")
    read = functools.partial(_aligned, store=store, split=split)
    return _parts(store, split, store.sources[0], read, seed)


def _parts(
    store: crops.CropStore, split: str, source: str, read: Callable[..., Any], seed: int
) -> ray.data.Dataset:
    """Part file by part file through ``read``.

    Not `ray.data.read_parquet`: its listing task asks for a whole CPU, and on a small machine waits for ever
    for the one that training holds.
    """
    found = storage.list_files(store.partition(split, source))
    names = [n for n in found if n.endswith(".parquet")]  # a killed writer leaves a hidden .part behind
    blocks = max(1, min(len(names), MAX_BLOCKS))
    parts = ray.data.from_items([{"name": n} for n in names], override_num_blocks=blocks)
    readers = READERS_PER_CPU * max(1, int(ray.cluster_resources().get("CPU", 1)))
    shuffled = parts.randomize_block_order(seed=RandomSeedConfig(seed=seed))
    return shuffled.map_batches(read, batch_size=1, num_cpus=READ_CPUS, concurrency=readers)


def _clips(batch: dict[str, Any], store: crops.CropStore, split: str, source: str) -> pa.Table:
    table = crops.read_part(store, split, source, batch["name"][0])
    return table.select(["track", "offset", "gain", "audio"])


def _aligned(batch: dict[str, Any], store: crops.CropStore, split: str) -> dict[str, Any]:
    track, offset, audio = crops.read_aligned(store, split, batch["name"][0])
    pcm, gain = encode(audio.reshape(len(audio), -1, audio.shape[-1]))
    columns = {"track": np.array(track), "offset": offset, "gain": gain}
    return {**columns, "audio": np.array([item.tobytes() for item in pcm], object)}
