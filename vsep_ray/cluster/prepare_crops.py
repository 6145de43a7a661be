"""Ray Data makes crop stores, in parallel over tracks."""

import dataclasses
import functools
import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ray.data

from vsep_ray import storage
from vsep_ray.cluster.data_page import write_page
from vsep_ray.cluster.runtime import talk
from vsep_ray.cluster.runtime.progress import Done, Progress, duration
from vsep_ray.cluster.runtime.tracked_run import git_revision
from vsep_ray.config import UserError, fingerprint, to_dict
from vsep_ray.crops import store as crops
from vsep_ray.crops import writing
from vsep_ray.crops.part_files import Open
from vsep_ray.crops.store import FORMAT
from vsep_ray.datasets import registry
from vsep_ray.datasets.track import Track
from vsep_ray.presets import PrepareCropsConfig
from vsep_ray.survey import preview

log = logging.getLogger(__name__)
INSTRUMENTS = ("vocals", "drums", "bass", "guitar", "piano", "other")
"""Folders of these names say by themselves what they hold."""
MAX_TASKS = 1_000
"""A plan of Ray Data has at most this number of blocks: a million tracks do not make a million tasks."""


def run(config: PrepareCropsConfig) -> dict[str, Any]:
    """Does what `prepare` does, and makes the store's page to look at and listen to.

    Returns:
        The figures of `prepare`, and the page.
    """
    figures = prepare(config)
    return {**figures, "page": write_page(crops.CropStore.open(figures["output"]))}


def prepare(config: PrepareCropsConfig) -> dict[str, Any]:
    """Cuts a data set into a crop store, in parallel over tracks; what an earlier run finished is kept.

    Returns:
        The figures of the JSON line: tracks, crops, seconds, quarantined, fingerprint, content, output and
        statistics per source; status ``failed`` if more than ``max_failed`` of the tracks are quarantined.

    Raises:
        UserError: nothing found at the root, a class without audible crops, or an output folder with other
            crops.
    """
    layout, units = _layout(config)
    writing.begin(layout, config.fresh)
    if storage.exists(storage.join(layout.uri, crops.STORE_FILE)):
        log.info("%s is there already, complete", layout.uri)
        store = crops.CropStore.open(layout.uri)
    else:
        missing = _missing(layout, units)
        there = f"it goes on: {len(units) - len(missing)} of {len(units)} parts are there"
        log.info("crops into %s%s", layout.uri, f"; {there}" if len(missing) < len(units) else "")
        write_units(layout, missing, functools.partial(config.dataset.open, crop=config.crop))
        store = writing.finish(layout, writing.records(layout.uri), git_revision())
    return _figures(store, units, config.max_failed)


def plan(config: PrepareCropsConfig) -> dict[str, Any]:
    """Returns what `prepare` would do, and writes nothing: tracks per split, sources, fingerprint, output. It
    prints a table of what the data set holds, from some seconds of a few songs.
    """
    layout, units = _layout(config)
    names = dict.fromkeys(unit.split for unit in units)
    print(_preview(layout, [track for unit in units for track in unit.tracks], config), flush=True)
    return {
        "tracks": {s: len({t.id for unit in units if unit.split == s for t in unit.tracks}) for s in names},
        "sources": list(layout.sources),
        "files": _files(units),
        "fingerprint": layout.fingerprint,
        "output": layout.uri,
    }


def closing(config: PrepareCropsConfig, figures: Mapping[str, Any]) -> list[talk.Line]:
    """Returns what is said of a store at the end of the job."""
    hours = duration(figures["audio_seconds"])
    bad = figures["quarantined"]
    return [
        ("", f"{figures['crops']:,} crops of {figures['tracks']:,} songs, {hours}"),
        ("sources", ", ".join(figures["sources"])),
        ("unusable", f"{bad} files; why: {figures['output']}/_quarantine.parquet" if bad else ""),
        ("crops", figures["output"]),
        ("page", figures["page"]),
        ("next", talk.command("train_separator", config, "--preset", "laptop", "--crops", figures["output"])),
    ]


def _files(units: Sequence[writing.Unit]) -> dict[str, int]:
    """Returns source -> how many files it has."""
    return dict(Counter(source for unit in units for track in unit.tracks for source, _ in track.uses))


def _preview(layout: crops.CropStore, tracks: Sequence[Track], config: PrepareCropsConfig) -> str:
    chosen, looks = preview.choose(tracks), []
    glimpse = functools.partial(config.dataset.glimpse, crop=config.crop, most=preview.GLIMPSE)
    with Progress("a look at the data", "songs", Done(total=len(chosen))) as progress:
        for track in chosen:
            looks.append(preview.look_at(track, layout, glimpse))
            progress.tell(len(looks))
    return preview.describe(tracks, looks)


def _layout(config: PrepareCropsConfig) -> tuple[crops.CropStore, list[writing.Unit]]:
    """Returns what a store is to be, under a hash of what decides its content, and the units of its work."""
    dataset = config.dataset
    found = dataset.find()
    sources = config.sources or registry.sources_of(found)
    _check_map(config, sources)
    kept = registry.select(found, sources)
    tracks = registry.assign(kept, config.valid_fraction, config.test_fraction)
    inventory = dataset.inventory(tracks)
    mark = fingerprint(
        {
            "version": FORMAT,
            "dataset": dataset.name,
            "sources": list(sources),
            "crop": to_dict(config.crop),
            "content": inventory.content,
        }
    )
    uri = config.output or storage.join(config.storage, "crops", f"{dataset.name}-{mark}")
    layout = crops.CropStore(
        uri=storage.absolute(uri),
        dataset=dataset.name,
        **vars(config.crop),
        sources=sources,
        scales=dataset.scales(len(sources)),
        paired=dataset.paired(tracks),
        fingerprint=mark,
    )
    return layout, writing.divide(tracks, inventory.sizes)


def _check_map(config: PrepareCropsConfig, sources: Sequence[str]) -> None:
    """Refuses a class that no pair of ``--map`` gives a source, where nobody chose sources: it would become
    one of its own.

    Raises:
        UserError: the classes, and how to take them or leave them out.
    """
    named = {pair.partition("=")[0] for pair in getattr(config.dataset, "map", ())}
    strangers = [s for s in sources if s not in named and s not in INSTRUMENTS]
    if named and strangers and not config.sources:
        raise UserError(
            f"no pair of --map matches {', '.join(strangers)}, which would be sources of their own; give "
            f"them pairs too, or choose by --sources {' '.join(sorted(named))}"
        )


def write_units(layout: crops.CropStore, units: Sequence[writing.Unit], open_track: Open) -> None:
    """Writes units in parallel, also those that a crash took with it.

    Their tracks are tried one by one: a track that crashes again is quarantined, the rest is written.

    Raises:
        RuntimeError: something other than a bad file failed, such as a full disk or a node that went away.
    """
    write = functools.partial(writing.write_unit, layout, open_track=open_track)
    _each(units, write)
    lost = _missing(layout, units)
    deadly = _deadly(lost, open_track)
    _each([dataclasses.replace(unit, deadly=deadly) for unit in lost], write)
    if gone := _missing(layout, lost):
        raise RuntimeError(
            f"{len(gone)} units of tracks were lost with their processes, twice, though no track kills one "
            "alone: too little memory, or a node that went away; run the same command again"
        )


def _deadly(lost: Sequence[writing.Unit], open_track: Open) -> tuple[str, ...]:
    """Returns the files of tracks that kill a process which does nothing but read them."""
    alone = [dataclasses.replace(unit, tracks=(track,)) for unit in lost for track in unit.tracks]
    read = functools.partial(writing.read_through, open_track=open_track)
    alive: set[str] = set()
    for start in range(0, len(alone), MAX_TASKS):  # no two in one block
        alive |= set(_each(alone[start : start + MAX_TASKS], read))
    return tuple(uri for unit in alone if writing.name_of(unit) not in alive for uri in unit.tracks[0].files)


def _each(units: Sequence[writing.Unit], do: Callable[[writing.Unit], Any]) -> list[str]:
    """Runs ``do`` on every unit, in parallel, and returns the keys of the units that no crash took."""
    if not units:
        return []
    rows = [{"unit": json.dumps(to_dict(unit))} for unit in units]
    dataset = ray.data.from_items(rows, override_num_blocks=min(len(rows), MAX_TASKS))
    dataset.context.max_errored_blocks = -1  # a dead process loses its block, not the job
    done: list[str] = []
    # without a limit Ray starts a task that kills its process again for ever
    written = dataset.map(functools.partial(writing.attempt, do=do), max_retries=0).iter_rows()
    with Progress("crops", "parts", Done(total=len(units))) as progress:
        for row in written:
            if row["error"]:
                raise RuntimeError(f"unit {row['key']} failed:\n{row['error']}")
            done.append(row["key"])
            progress.tell(len(done))
    return done


def _missing(layout: crops.CropStore, units: Sequence[writing.Unit]) -> list[writing.Unit]:
    done = {record.key for record in writing.records(layout.uri)}
    return [unit for unit in units if unit.key not in done]


def _figures(store: crops.CropStore, units: Sequence[writing.Unit], max_failed: float) -> dict[str, Any]:
    planned = sum(len(unit.tracks) for unit in units)
    stored = sum(len(record.tracks) for record in writing.records(store.uri))
    seconds = round(sum(s.seconds for s in store.splits.values()), 3)
    return {
        "status": "failed" if planned - stored > max_failed * planned else "done",
        "tracks": sum(s.tracks for s in store.splits.values()),
        "crops": sum(s.crops for s in store.splits.values()),
        "seconds": seconds,
        "audio_seconds": seconds,  # what the key before it means
        "quarantined": store.quarantined,
        "fingerprint": store.fingerprint,
        "content": store.content,
        "output": store.uri,
        "sources": {name: dataclasses.asdict(s) for name, s in store.statistics.items()},
    }
