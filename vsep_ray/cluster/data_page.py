"""The page of a crop store is made by Ray's tasks: one per source, and one for leaks between them."""

import math
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import ray

from vsep_ray import storage
from vsep_ray.cluster.runtime.progress import gathered
from vsep_ray.crops.store import CropStore, Member
from vsep_ray.report.data_page import SourceSection, SplitCount, data_page, source_html
from vsep_ray.report.media import Clip
from vsep_ray.survey.findings import Finding
from vsep_ray.survey.leakage import leaks
from vsep_ray.survey.sampling import list_crops, sample, sample_aligned
from vsep_ray.survey.sources import Song, survey

PAGE_FILE = "data.html"
HEARD = 10
"""Crops of a source to hear."""


def write_page(store: CropStore) -> str:
    """Writes ``<store>/data.html`` of a finished store, unless it is there, and returns its URI. The same
    store gives the same bytes.
    """
    uri = storage.join(store.uri, PAGE_FILE)
    if storage.exists(uri):
        return uri
    leaking = [_leaks.remote(store)] if store.paired else []
    sections = gathered([_section.remote(store, s) for s in store.statistics], "the data page", "sources")
    found = [finding for task in leaking for finding in ray.get(task)]
    html = data_page(f"Data: {store.dataset}", _facts(store), sections, found)
    storage.write_bytes(uri, html.encode())
    return uri


@ray.remote
def _section(store: CropStore, source: str) -> SourceSection:
    listing = list_crops(store, source)
    heard: list[Clip] = []
    songs = pc.count_distinct(listing.filter(pc.invert(listing["silent"]))["track"]).as_py()
    each = math.ceil(HEARD / max(1, songs))
    found = survey(source, _kept(sample(store, source, listing), heard, each, store), store.sample_rate)
    return SourceSection(found, tuple(_counts(store, source, listing)), source_html(found, heard))


@ray.remote
def _leaks(store: CropStore) -> list[Finding]:
    songs = sample_aligned(store, list_crops(store, store.sources[0]))
    return [found for track, stems in songs for found in leaks(track, stems, store.sample_rate)]


def _kept(songs: Iterator[Song], heard: list[Clip], each: int, store: CropStore) -> Iterator[Song]:
    """Yields songs as they are, and keeps ``each`` crops of the first ones to hear."""
    for song in songs:
        for offset, crop in list(zip(song.offsets, song.crops, strict=True))[: min(each, HEARD - len(heard))]:
            name = f"{song.split}, from {offset / store.sample_rate:.1f} s"
            heard.append(Clip(song.track, name, "crop", crop, store.sample_rate))
        yield song


def _counts(store: CropStore, source: str, listing: pa.Table) -> Iterator[SplitCount]:
    grouped = listing.group_by(["member", "split"]).aggregate([
        ("track", "count_distinct"), ("track", "count"), ("silent", "mean"), ("activity", "mean"),
    ]).to_pylist()  # fmt: skip
    lengths = {"": store.length, **{m.name: m.length for m in store.members}}
    for row in sorted(grouped, key=lambda row: (row["member"], list(store.splits).index(row["split"]))):
        crops = row["track_count"]
        minutes = crops * lengths[row["member"]] / store.sample_rate / 60
        shares = round(row["silent_mean"], 4), round(row["activity_mean"], 4)
        counted = row["track_count_distinct"], crops, minutes, *shares
        yield SplitCount(source, row["split"], *counted, row["member"])


def _facts(store: CropStore) -> dict[str, Any]:
    seconds = store.length / store.sample_rate
    return {
        "data set": store.dataset,
        **{f"joined of {m.name}": _member(m) for m in store.members},
        "format": f"{store.sample_rate} Hz, channels: {store.channels}, crops of {seconds:.3g} s",
        "sources belong together": store.paired,
        "files that could not be used": store.quarantined,
        "content": store.content,
        "code": store.revision,
    }


def _member(member: Member) -> str:
    return f"{member.uri}, drawn with weight {member.weight:g}" if member.weight else member.uri
