"""The page of a crop store: what it holds, what a gate would refuse, and ten crops of a source to hear."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vsep_ray.audio.loudness import short_loudness
from vsep_ray.report import parts
from vsep_ray.report.data_figures import data_figures
from vsep_ray.report.media import Clip, audio_uri, figure_uri
from vsep_ray.survey.findings import Finding, worst_first
from vsep_ray.survey.sources import Survey

MOST = 40
"""Findings on the page, at most."""
LOSSLESS_SECONDS = 0.5
"""Longer crops are Ogg Vorbis: with ten of every source, a page of wav files would be too large to send."""
SPLIT = ("source", "split", "songs", "crops", "minutes", "silent crops", "active")
FOUND = ("song", "source", "what", "how much", "times the threshold")
SPLIT_WORDS = ("silent crops", "active", "LUFS")


@dataclass(frozen=True)
class SplitCount:
    """What one split holds of one source.

    Attributes:
        source, split: the class and the split.
        songs, crops: their numbers.
        minutes: of all crops.
        silence: share of crops that are silent.
        activity: share of 50 ms frames that are not silent.
        member: of a joined store, whose crops these are; "" where it is not joined.
    """

    source: str
    split: str
    songs: int
    crops: int
    minutes: float
    silence: float
    activity: float
    member: str = ""


@dataclass(frozen=True)
class SourceSection:
    """A section of the page, made where the crops were read.

    Attributes:
        survey: what is known of the source.
        counts: what each split holds.
        html: its pictures and sounds.
    """

    survey: Survey
    counts: tuple[SplitCount, ...]
    html: str


def data_page(
    title: str,
    facts: Mapping[str, Any],
    sections: Sequence[SourceSection],
    leaks: Sequence[Finding],
) -> str:
    """Returns one HTML document that makes no request.

    Args:
        title: the heading.
        facts: figures of the store, shown as a list.
        sections: one per source, by `source_html`.
        leaks: what was found between stems.
    """
    found = worst_first([*leaks, *(f for s in sections for f in s.survey.findings)])
    refused = [f for f in found if not f.note]
    return parts.document(title, [
        parts.facts(facts),
        "<h2>What the splits hold</h2>",
        parts.table(SPLIT, [("", _counted(c)) for s in sections for c in s.counts]),
        parts.words(SPLIT_WORDS),
        "<h2>What a gate would refuse</h2>",
        f"<p>{parts.text(_summary(refused, sections))}</p>",
        parts.table(FOUND, [("", _found(f)) for f in refused[:MOST]], FOUND[:-1]),
        parts.words(FOUND[-1:]) if refused else "",
        *(f"<p>{parts.text(line)}</p>" for line in _notes(f for f in found if f.note)),
        *(f"<h2>{parts.text(s.survey.source)}</h2>{s.html}" for s in sections),
    ])  # fmt: skip


def source_html(survey: Survey, clips: Iterable[Clip]) -> str:
    """Returns the pictures of a source, and the crops to hear."""
    figures = data_figures(survey)
    drawn = "".join(
        f'<img alt="{parts.text(name)}" src="{figure_uri(figure)}">' for name, figure in figures.items()
    )
    heard = "".join(_crop(clip) for clip in clips)
    return (
        f"<p>{parts.text(_about(survey))}</p>"
        f'<div class="pictures">{drawn}</div><div class="crops">{heard}</div>'
    )


def _crop(clip: Clip) -> str:
    lufs = short_loudness(clip.audio, clip.sample_rate)
    loop = " loop" if clip.audio.shape[1] < parts.SHORT_SECONDS * clip.sample_rate else ""
    return (
        f"<figure><figcaption>{parts.text(clip.track)}<br><small>{parts.text(clip.name)}, {_lufs(lufs)}"
        f"</small></figcaption>{parts.picture(clip)}"
        f'<audio controls{loop} preload="metadata" src="{audio_uri(clip, 1.0, LOSSLESS_SECONDS)}"></audio>'
        "</figure>"
    )


def _about(survey: Survey) -> str:
    if not survey.songs:
        return "No crop is audible."
    looked = f"Crops looked at: {len(survey.lufs)}, songs: {survey.songs}, at random among the audible ones"
    return f"{looked}; {_lufs(survey.median_lufs)} in the median."


def _lufs(value: float | None) -> str:
    return "silent" if value is None or not math.isfinite(value) else f"{value:.1f} LUFS"


def _summary(refused: Sequence[Finding], sections: Sequence[SourceSection]) -> str:
    looked = max((s.survey.songs for s in sections), default=0)
    counts = Counter(f.kind for f in refused)
    listed = ", ".join(f"{kind} {number}" for kind, number in counts.items()) or "nothing"
    shown = f" The worst {MOST} are shown." if len(refused) > MOST else ""
    return f"Among random songs, up to {looked} of a source: {listed}.{shown}"


def _notes(found: Iterable[Finding]) -> Iterator[str]:
    """Yields a sentence per kind of note: in how many songs of which source."""
    notes = list(found)
    for kind, figure in dict.fromkeys((f.kind, f.figure) for f in notes):
        counts = Counter(f.source for f in notes if f.kind == kind)
        songs = ", ".join(f"{source} {number}" for source, number in counts.items())
        yield f"No fault, but worth knowing: {kind} ({figure}), songs of {songs}."


def _counted(count: SplitCount) -> list[Any]:
    shares = (f"{100 * share:.0f} %" for share in (count.silence, count.activity))
    source = f"{count.source} of {count.member}" if count.member else count.source
    return [source, count.split, count.songs, count.crops, f"{count.minutes:.1f}", *shares]


def _found(found: Finding) -> list[Any]:
    times = "certain" if math.isinf(found.times) else f"{found.times:.1f}"
    return [found.track, found.source, found.kind, found.figure, times]
