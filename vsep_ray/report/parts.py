"""The parts that all pages are built of: the document, facts, tables, and players that stay in step."""

import html
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from vsep_ray.report.assets import MARK, SCRIPT, STYLE
from vsep_ray.report.media import Clip, audio_uri, is_silent, spectrogram_uri
from vsep_ray.report.words import WORDS

SHORT_SECONDS = 2.0
KEYS = (
    "Keys, once a track was touched: space plays and pauses, ← and → seek by 5 s (by 0.5 s in short sounds), "
    "1 to 9 play a row alone (again: no longer), 0 all rows."
)


def document(title: str, parts: Sequence[str]) -> str:
    """Returns one HTML document that makes no request: style, script, sounds and pictures are all inside."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{text(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><script>{MARK}</script><style>{STYLE}</style>'
        f"</head><body><h1>{text(title)}</h1>{''.join(parts)}<script>{SCRIPT}</script></body></html>"
    )


def facts(values: Mapping[str, Any]) -> str:
    """Returns a list of names and values."""
    return "<dl>" + "".join(f"<dt>{text(k)}</dt><dd>{text(v)}</dd>" for k, v in values.items()) + "</dl>"


def words(names: Iterable[str]) -> str:
    """Returns what words of `WORDS` mean, folded up."""
    return f"<details><summary>What the words mean</summary>{facts({n: WORDS[n] for n in names})}</details>"


def table(head: Sequence[str], body: Sequence[tuple[str, Sequence[Any]]], prose: Collection[str] = ()) -> str:
    """Returns a table whose rows have a class and cells, or "" where there is no row.

    Columns of ``prose`` are wrapped and stand left; a table that has some is a list on a telephone, others
    scroll inside themselves.
    """
    if not body:
        return ""
    kinds = [' class="text"' if name in prose else "" for name in head]
    names = [f' data-head="{text(name)}"' if prose else "" for name in head]
    titles = "".join(f"<th{kind}>{text(name)}</th>" for name, kind in zip(head, kinds, strict=True))
    lines = "".join(
        f'<tr class="{text(row)}">'
        + "".join(f"<td{k}{n}>{text(c)}</td>" for k, n, c in zip(kinds, names, cells, strict=True))
        + "</tr>"
        for row, cells in body
    )
    kind = ' class="list"' if prose else ""
    return f'<div class="scroll"><table{kind}><tr>{titles}</tr>{lines}</table></div>'


def players(clips: Sequence[Clip], caption: Callable[[Clip], str]) -> str:
    """Returns a section per track with its sounds, which play together under one gain; ``caption`` says what
    is known of a sound.
    """
    tracks = "".join(
        _track(track, [c for c in clips if c.track == track], caption)
        for track in dict.fromkeys(clip.track for clip in clips)
    )
    return f'<p class="keys">{KEYS}</p>{tracks}' if tracks else ""


def picture(clip: Clip) -> str:
    """Returns the spectrogram of a sound, or the word where it is silent."""
    name = text(f"spectrogram of {clip.name}, {clip.method}")
    silent = '<span class="silent">silent</span>' if is_silent(clip) else ""
    return f'<div class="picture"><img alt="{name}" src="{spectrogram_uri(clip)}">{silent}</div>'


def text(value: Any) -> str:
    """Returns a value as escaped text."""
    return html.escape(value if isinstance(value, str) else json.dumps(value))


def _track(track: str, clips: Sequence[Clip], caption: Callable[[Clip], str]) -> str:
    gain = 1 / max(1.0, *(float(np.abs(c.audio).max(initial=0.0)) for c in clips))
    seconds = max(c.audio.shape[1] / c.sample_rate for c in clips)
    before = [None, *(c.name for c in clips)]
    sounds = "".join(
        _sound(clip, gain, caption(clip), i, clip.name != before[i]) for i, clip in enumerate(clips)
    )
    return (
        f'<section class="track" data-seconds="{seconds:.6f}" aria-label="{text(track)}">'
        f"<h3>{text(track)}</h3>"
        '<div class="transport"><button class="play" aria-label="Play"></button><span class="time"></span>'
        f'<input class="seek" type="range" min="0" max="{seconds:.6f}" step="any" value="0" '
        'aria-label="position"><label><input class="loop" type="checkbox"'
        f"{' checked' if seconds < SHORT_SECONDS else ''}> loop</label></div>{sounds}</section>"
    )


def _sound(clip: Clip, gain: float, caption: str, place: int, first: bool) -> str:
    """Returns the row of a sound; ``first`` where it is the first of its name."""
    name = text(f"{clip.name}, {clip.method}")
    buttons = " ".join(
        f'<button class="{kind}" aria-pressed="false" aria-label="{kind} {name}">{kind}</button>'
        for kind in ("solo", "mute")
    )
    return (
        f'<div class="sound{" first" if first else ""}" data-on="{int(not place)}" '
        f'data-layer="{text(clip.method)}"><div class="name"><kbd>{place + 1 if place < 9 else ""}</kbd>'
        f"<span>{text(clip.name)}</span><small>{text(caption) if caption != clip.name else ''}</small></div>"
        f'<div class="switches">{buttons}</div>{picture(clip)}'
        f'<audio controls preload="metadata" src="{audio_uri(clip, gain)}"></audio></div>'
    )
