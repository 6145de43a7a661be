"""The parts that all pages are built of: the document, facts, tables, and players that stay in step."""

import html
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from vsep_ray.report.assets import SCRIPT, STYLE
from vsep_ray.report.media import Clip, audio_uri, spectrogram_uri

SHORT_SECONDS = 2.0


def document(title: str, parts: Sequence[str]) -> str:
    """Returns one HTML document that makes no request: style, script, sounds and pictures are all inside."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{text(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>'
        f"<body><h1>{text(title)}</h1>{''.join(parts)}<script>{SCRIPT}</script></body></html>"
    )


def facts(values: Mapping[str, Any]) -> str:
    """Returns a list of names and values."""
    return "<dl>" + "".join(f"<dt>{text(k)}</dt><dd>{text(v)}</dd>" for k, v in values.items()) + "</dl>"


def table(head: Sequence[str], body: Sequence[tuple[str, Sequence[Any]]]) -> str:
    """Returns a table whose rows have a class and cells, or "" where there is no row."""
    if not body:
        return ""
    lines = [
        f'<tr class="{text(kind)}">{"".join(f"<td>{text(c)}</td>" for c in cells)}</tr>'
        for kind, cells in body
    ]
    titles = "".join(f"<th>{text(h)}</th>" for h in head)
    return f'<div class="scroll"><table><tr>{titles}</tr>{"".join(lines)}</table></div>'


def players(clips: Sequence[Clip], caption: Callable[[Clip], str]) -> str:
    """Returns a section per track with its sounds, which play together under one gain; ``caption`` says what
    is known of a sound.
    """
    return "".join(
        _track(track, [c for c in clips if c.track == track], caption)
        for track in dict.fromkeys(clip.track for clip in clips)
    )


def text(value: Any) -> str:
    """Returns a value as escaped text."""
    return html.escape(value if isinstance(value, str) else json.dumps(value))


def _track(track: str, clips: Sequence[Clip], caption: Callable[[Clip], str]) -> str:
    gain = 1 / max(1.0, *(float(np.abs(c.audio).max(initial=0.0)) for c in clips))
    short = max(c.audio.shape[1] / c.sample_rate for c in clips) < SHORT_SECONDS
    sounds = "".join(_sound(clip, gain, caption(clip)) for clip in clips)
    return (
        f'<section class="track"><h3>{text(track)}</h3>'
        '<div class="transport"><button class="play">Play</button>'
        '<input class="seek" type="range" min="0" max="1" step="any" value="0" aria-label="position">'
        f'<label><input class="loop" type="checkbox"{" checked" if short else ""}> loop</label></div>'
        f"{sounds}</section>"
    )


def _sound(clip: Clip, gain: float, caption: str) -> str:
    return (
        f'<div class="sound" data-on="{int(clip.method == "mixture")}">'
        f"<div>{text(clip.name)}<br><small>{text(caption)}</small></div>"
        '<div><button class="solo">solo</button> <button class="mute">mute</button></div>'
        f'<img alt="spectrogram" src="{spectrogram_uri(clip)}">'
        f'<audio controls preload="metadata" src="{audio_uri(clip, gain)}"></audio></div>'
    )
