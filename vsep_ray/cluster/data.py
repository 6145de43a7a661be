"""Crop stores by Ray Data: made in parallel over tracks, read by training workers."""

import dataclasses
import functools
import json
import logging
import subprocess
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import ray.data

from vsep_ray.config import UserError, fingerprint, from_dict, to_dict
from vsep_ray.data import crops, datasets, shards, storage
from vsep_ray.data.pcm import encode
from vsep_ray.data.track import Track
from vsep_ray.presets import PrepareCropsConfig

log = logging.getLogger(__name__)
READ_CPUS = 0.25
"""Logical CPUs of a task that reads crops: training workers leave that much of theirs."""
MAX_TASKS = 1_000
"""Blocks of the Ray Data plan: enough for any cluster, and a million tracks do not make a million tasks."""
TOY_UNIT = 256
"""Toy tracks per unit of work: about half a second of rendering."""


def prepare(config: PrepareCropsConfig) -> dict[str, Any]:
    """Cut a data set into a crop store, in parallel over tracks; what an earlier run finished is kept.

    Returns:
        The figures of the JSON line: tracks, crops, seconds, quarantined, fingerprint, output and statistics
        per source.

    Raises:
        UserError: nothing found at the root, a class without audible crops, or an output folder with other
            crops.
    """
    layout, units = _layout(config)
    shards.begin(layout, config.fresh)
    if storage.exists(storage.join(layout.uri, crops.STORE_FILE)):
        log.info("%s is complete", layout.uri)
        return _figures(crops.CropStore.open(layout.uri))
    done = {r.key for r in shards.records(layout.uri)}
    missing = [u for u in units if u.key not in done]
    log.info("%d of %d units are missing in %s", len(missing), len(units), layout.uri)
    _write(config, layout, missing)
    return _figures(shards.finish(layout, shards.records(layout.uri), _revision()))


def plan(config: PrepareCropsConfig) -> dict[str, Any]:
    """What `prepare` would do: tracks per split, sources, fingerprint and output folder; nothing is
    written."""
    layout, units = _layout(config)
    splits = {u.split: 0 for u in units}
    for unit in units:
        splits[unit.split] += len(unit.tracks)
    return {
        "tracks": splits,
        "sources": list(layout.sources),
        "fingerprint": layout.fingerprint,
        "output": layout.uri,
    }


def crop_dataset(store: crops.CropStore, split: str, source: str) -> ray.data.Dataset:
    """The crops of one source as a lazy Ray data set of columns track, offset, gain, audio.

    ``audio`` stays raw bytes; a consumer turns a batch into float32 (N, C, T) by
    ``pcm.decode(batch["audio"], batch["gain"], store.channels)``.
    """
    filesystem, path = storage.open_filesystem(store.partition(split, source))
    columns = ["track", "offset", "gain", "audio"]
    return ray.data.read_parquet(
        path,
        filesystem=filesystem,
        columns=columns,
        partitioning=None,
        file_extensions=["parquet"],
        num_cpus=READ_CPUS,
    )


def _layout(config: PrepareCropsConfig) -> tuple[shards.Layout, list[shards.Unit]]:
    tracks = _tracks(config)
    sources = config.sources or datasets.sources_of(tracks)
    mark = _fingerprint(config, sources, tracks)
    uri = config.output or storage.join(config.storage, "crops", f"{config.dataset}-{mark}")
    layout = shards.Layout(
        uri=uri if storage.is_remote(uri) else str(storage.local_path(uri)),
        dataset=config.dataset,
        crop=config.crop,
        sources=sources,
        scales=datasets.scales(config.dataset, len(sources)),
        paired=config.dataset != "sources",
        fingerprint=mark,
    )
    return layout, shards.divide(tracks, TOY_UNIT if config.dataset == "toy" else 1)


def _tracks(config: PrepareCropsConfig) -> list[Track]:
    found = datasets.find(config.dataset, _root(config), mapping=config.map, toy_config=config.toy)
    kept = datasets.select(found, config.sources or datasets.sources_of(found))
    return datasets.split(config.dataset, kept, config.valid_fraction, config.test_fraction)


def _root(config: PrepareCropsConfig) -> str:
    return (
        config.root
        if not config.root or storage.is_remote(config.root)
        else str(storage.local_path(config.root))
    )


def _fingerprint(config: PrepareCropsConfig, sources: tuple[str, ...], tracks: list[Track]) -> str:
    """A hash of what decides the content of the store: options, and the tracks with the sizes of their
    files."""
    options: dict[str, Any] = {
        "dataset": config.dataset,
        "sources": list(sources),
        "crop": to_dict(config.crop),
    }
    if config.dataset == "toy":
        return fingerprint({**options, "toy": to_dict(config.toy)})
    return fingerprint({**options, "tracks": [datasets.listing(t, _root(config)) for t in tracks]})


def _write(config: PrepareCropsConfig, layout: shards.Layout, units: list[shards.Unit]) -> None:
    if not units:
        return
    rows = ray.data.from_items(
        [{"unit": json.dumps(to_dict(u))} for u in units], override_num_blocks=min(len(units), MAX_TASKS)
    )
    for row in rows.map(functools.partial(_write_one, config=config, layout=layout)).iter_rows():
        if row["error"]:
            raise RuntimeError(f"unit {row['key']} failed:\n{row['error']}")


def _write_one(row: dict[str, Any], config: PrepareCropsConfig, layout: shards.Layout) -> dict[str, Any]:
    unit = from_dict(shards.Unit, json.loads(row["unit"]))
    load = functools.partial(datasets.load, config.dataset, crop=config.crop, toy_config=config.toy)
    try:
        shards.write_unit(layout, unit, load)
    except (
        Exception
    ):  # a full disk or a bug, never a bad file; as text, since Ray cannot carry every exception
        return {"key": unit.key, "error": traceback.format_exc()}
    return {"key": unit.key, "error": ""}


def _figures(store: crops.CropStore) -> dict[str, Any]:
    return {
        "tracks": sum(s.tracks for s in store.splits.values()),
        "crops": sum(s.crops for s in store.splits.values()),
        "seconds": round(sum(s.seconds for s in store.splits.values()), 3),
        "quarantined": store.quarantined,
        "fingerprint": store.fingerprint,
        "output": store.uri,
        "sources": {name: dataclasses.asdict(s) for name, s in store.statistics.items()},
    }


def _revision() -> str:
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):  # an installed package has no repository
        return ""


def paired_dataset(store: crops.CropStore, split: str) -> ray.data.Dataset:
    """Aligned crops of all sources as a lazy Ray data set of columns track, offset, gain, audio.

    ``pcm.decode(batch["audio"], batch["gain"], K * C)`` gives float32 (N, K * C, T), source by source.

    Raises:
        UserError: the store is not paired.
    """
    if not store.paired:
        raise UserError(f"{store.uri} holds clips of a folder per source, which belong to no common mixture")
    names = storage.list_files(store.partition(split, store.sources[0]))
    read = functools.partial(_aligned, store=store, split=split)
    return ray.data.from_items([{"name": n} for n in names]).map_batches(read, batch_size=1, num_cpus=READ_CPUS)


def _aligned(batch: dict[str, Any], store: crops.CropStore, split: str) -> dict[str, Any]:
    track, offset, audio = crops.read_aligned(store, split, batch["name"][0])
    pcm, gain = encode(audio.reshape(len(audio), -1, audio.shape[-1]))
    return {"track": np.array(track), "offset": offset, "gain": gain, "audio": np.array([a.tobytes() for a in pcm], object)}
