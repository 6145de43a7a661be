"""A data set is previewed before it is cut: some crops of some songs, read as preparing would read them."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vsep_ray.audio import io
from vsep_ray.audio.formats import AudioError
from vsep_ray.audio.resampling import Audio
from vsep_ray.crops.encoding import SILENCE_DB, level_db
from vsep_ray.crops.part_files import cut
from vsep_ray.crops.store import CropStore
from vsep_ray.datasets.streams import BadFileError, Stream
from vsep_ray.datasets.track import Track
from vsep_ray.survey.findings import Finding, worst_first
from vsep_ray.survey.leakage import leaks
from vsep_ray.survey.sources import Song, Survey, excerpt, survey

SONGS = 3
"""Songs of every split and source that are read."""
SECONDS, CROPS = 60.0, 8
"""Of each the beginning (s) is read, and this number of its crops measured."""
GLIMPSE = 15.0
"""Of a song that is made on the fly this number of seconds is read, from anywhere."""
Glimpse = Callable[[Track], tuple[float | None, Mapping[str, Stream]]]
"""What `vsep_ray.datasets.dataset.Dataset.glimpse` does, of `GLIMPSE` seconds."""
WORST = 10
"""Findings that are listed below the table."""
HEAD = ("split", "source", "songs", "tracks", "read", "minutes", "silent", "LUFS", "findings")


@dataclass(frozen=True)
class Look:
    """What was seen of one track.

    Attributes:
        track: the track.
        seconds: its length.
        silence: by source, the share of crops that are silent.
        surveys: by source.
        findings: what is wrong with it.
    """

    track: Track
    seconds: float = 0.0
    silence: dict[str, float] = field(default_factory=dict)
    surveys: dict[str, Survey] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


def choose(tracks: Sequence[Track]) -> list[Track]:
    """Returns tracks at random, always the same, so that each source has some in each of its splits."""
    taken: dict[tuple[str, str], int] = {}
    chosen = []
    for i in np.random.default_rng(0).permutation(len(tracks)):
        places = [(tracks[i].split, stem.source) for stem in tracks[i].stems]
        if any(taken.get(place, 0) < SONGS for place in places):
            chosen.append(tracks[i])
            taken |= {place: taken.get(place, 0) + 1 for place in places}
    return chosen


def look_at(track: Track, layout: CropStore, glimpse: Glimpse) -> Look:
    """Reads some of a track and measures some of its crops; a bad file is a finding."""
    rate, sources = layout.sample_rate, [stem.source for stem in track.stems]
    try:
        seconds, silence, crops = _read(track, layout, glimpse)
    except BadFileError as error:
        return Look(track, findings=(Finding("unusable", track.id, sources[0], str(error), np.inf),))
    audible = {s: crops[s][level_db(crops[s]) >= SILENCE_DB] for s in sources}
    songs = {s: Song(track.id, track.split, (), some, some[:0]) for s, some in audible.items()}
    surveys = {s: survey(s, [song], rate) for s, song in songs.items()}
    found = [f for one in surveys.values() for f in one.findings]
    found += leaks(track.id, {s: excerpt(crops[s], rate) for s in sources}, rate) if layout.paired else []
    return Look(track, seconds, silence, surveys, tuple(found))


def describe(tracks: Sequence[Track], looks: Sequence[Look]) -> str:
    """Returns as text what a data set holds by split and source, and its worst findings.

    ``read`` is the number of tracks that the columns behind it come from; ``~`` marks minutes that are their
    mean times the number of tracks.
    """
    places = {(t.split, s.source) for t in tracks for s in t.stems}
    order = ("train", "valid", "test").index
    rows = [_row(*place, tracks, looks) for place in sorted(places, key=lambda p: (order(p[0]), p[1]))]
    found = worst_first(f for look in looks for f in look.findings)
    listed = [f"{f.track}, {f.source}: {f.kind}, {f.figure}" for f in found if not f.note][:WORST]
    looked = (
        f"From up to {CROPS} crops of the first {SECONDS:.0f} s of every track that was read, "
        f"of {GLIMPSE:.0f} s from anywhere where songs are rendered."
    )
    return "\n".join([*_aligned([HEAD, *rows]), looked, *listed])


def _read(
    track: Track, layout: CropStore, glimpse: Glimpse
) -> tuple[float, dict[str, float], dict[str, Audio]]:
    """Returns the length of a track (s), and by source the share of crops that are silent, and some of them,
    (N, C, T), spread over what was read.
    """
    each, sources = layout.length / layout.sample_rate, [stem.source for stem in track.stems]
    known, streams = glimpse(track)
    stream = cut([track], lambda _: streams, layout.sources, layout.scales, layout.paired, layout.length)
    most = max(1, int((SECONDS if known is None else GLIMPSE) / each))
    silent: dict[str, list[bool]] = {source: [] for source in sources}
    kept: dict[str, list[Audio]] = {source: [] for source in sources}
    for i, (_, _, crops) in enumerate(itertools.islice(stream, most)):
        for source in sources:
            silent[source].append(bool(level_db(crops[source]) < SILENCE_DB))
            if i % max(1, most // CROPS) == 0:
                kept[source].append(crops[source])
    count = len(silent[sources[0]])
    seconds = known or (count * each if count < most else _length(track, count * each, stream, each))
    shares = {source: float(np.mean(values)) for source, values in silent.items()}
    return seconds, shares, {source: np.stack(some) for source, some in kept.items()}


def _length(track: Track, read: float, rest: Iterable[Any], each: float) -> float:
    """Returns the length of a track that goes on (s): its headers know, or it is made on the fly."""
    try:
        return max(info.length / info.sample_rate for info in map(io.probe, track.files))
    except AudioError:
        return read + each * sum(1 for _ in rest)


def _row(split: str, source: str, tracks: Sequence[Track], looks: Sequence[Look]) -> tuple[str, ...]:
    all_there = [t for t in tracks if t.split == split and any(s.source == source for s in t.stems)]
    mine = [look for look in looks if look.track.split == split and source in look.surveys]
    found = [f for look in looks if look.track.split == split for f in look.findings if f.source == source]
    counts = Counter(f.kind for f in found)
    counted = (len({t.id for t in all_there}), len(all_there), len(mine))
    said = ", ".join(f"{kind} {number}" for kind, number in counts.items())
    return (split, source, *map(str, counted), *_figures(source, mine, len(all_there)), said)


def _figures(source: str, looks: Sequence[Look], tracks: int) -> tuple[str, str, str]:
    """Returns minutes, share of silence and loudness of a source of some tracks, in words."""
    if not looks:
        return ("-", "-", "-")
    minutes = tracks * float(np.mean([look.seconds for look in looks])) / 60
    silence = 100 * float(np.mean([look.silence[source] for look in looks]))
    heard = [value for look in looks for value in look.surveys[source].lufs if np.isfinite(value)]
    lufs = f"{np.median(heard):.1f}" if heard else "-"
    return (f"{'~' * (len(looks) < tracks)}{minutes:.1f}", f"{silence:.0f} %", lufs)


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yields rows of text as lines of columns: words to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if name in ("split", "source", "findings") else cell.rjust(width)
            for name, cell, width in zip(HEAD, row, widths, strict=True)
        ]
        yield "  ".join(cells).rstrip()
