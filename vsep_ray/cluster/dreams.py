"""Dreams: a crop store whose clips are samples of the priors, made once in parallel, so that Sleep in
regime A reads what it reads in regime B."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import ray
import torch

from vsep_ray import checkpoint
from vsep_ray.cluster.inputs import prior_marks
from vsep_ray.config import fingerprint
from vsep_ray.data import storage
from vsep_ray.data.crops import CropStore, SourceStatistics, SplitStatistics, partition, to_table
from vsep_ray.priors import Prior
from vsep_ray.training import step_seed

BATCH = 64


def dreams(
    store: CropStore,
    priors: dict[str, str],
    num: int,
    length: int,
    folder: str,
    seed: int = 0,
    temperatures: Sequence[float] = (1.0,),
) -> CropStore:
    """``num`` clips of ``length`` samples per source, drawn from the priors in parallel, as a crop store
    below ``folder``.

    A store that is there already, from the same priors, is used as it is. Every clip is a song of its own.
    Nothing is rejected, and levels are the priors' own.

    Args:
        store: whose format, sources and scales the dreams take over.
        priors: source -> checkpoint directory.
        num: clips per source.
        length: samples.
        folder: where dream stores lie, one per fingerprint.
        seed: of the draws.
        temperatures: of the draws, one batch of 64 after the other in turn; see `Prior.sample`.
    """
    what = {"num": num, "length": length, "seed": seed, "temperatures": list(temperatures)}
    mark = fingerprint({"priors": prior_marks(priors), **what})
    uri = storage.join(folder, f"dreams-{mark}")
    if storage.exists(storage.join(uri, "_store.json")):
        return CropStore.open(uri)
    tasks = [
        _dream.remote(uri, s, priors[s], num, length, step_seed(seed, k), temperatures)
        for k, s in enumerate(store.sources)
    ]
    statistics = dict(zip(store.sources, ray.get(tasks), strict=True))
    count = num * len(store.sources)
    split = SplitStatistics(count, count, count * length / store.sample_rate)
    dreamed = dataclasses.replace(
        store, uri=uri, dataset="dreams", length=length, paired=False, splits={"train": split},
        statistics=statistics,
        quarantined=0, fingerprint=mark,
    )  # fmt: skip
    dreamed.save()
    return dreamed


@ray.remote
def _dream(
    uri: str, source: str, prior: str, num: int, length: int, seed: int, temperatures: Sequence[float]
) -> SourceStatistics:
    torch.manual_seed(seed)
    module = checkpoint.load(storage.local_path(prior))
    assert isinstance(module, Prior), f"{prior} is not a prior"
    whole = -(-length // module.multiple) * module.multiple
    heat = itertools.cycle(temperatures)
    audio = np.concatenate(
        [module.sample(min(BATCH, num - i), whole, next(heat)).numpy() for i in range(0, num, BATCH)]
    )
    table = _table(source, audio[..., :length])
    with storage.write_local(storage.join(partition(uri, "train", source), "part-0.parquet")) as path:
        pq.write_table(table, path)
    loud = [
        level
        for level, silent in zip(table["rms_db"].to_pylist(), table["silent"].to_pylist(), strict=True)
        if not silent
    ]
    return SourceStatistics(num, 1 - len(loud) / num, float(np.mean(loud)) if loud else -120.0)


def _table(source: str, audio: np.ndarray) -> Any:
    import pyarrow as pa

    clips = [np.nan_to_num(clip, nan=0.0, posinf=1.0, neginf=-1.0).clip(-4, 4) for clip in audio]
    return pa.concat_tables(
        [to_table(f"dream-{source}-{i}", clip, clip.shape[-1]) for i, clip in enumerate(clips)]
    )
