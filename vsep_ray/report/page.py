"""The listening page: score tables, the worst tracks first, players that stay in step."""

import html
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vsep_ray.report.assets import SCRIPT, STYLE
from vsep_ray.report.media import Clip, audio_uri, spectrogram_uri

Row = Mapping[str, Any]
METRICS = {"si_sdr_db": "SI-SDR", "si_sdr_improvement_db": "SI-SDR improvement", "sdr_db": "SDR (museval v4)"}
EXTRA = {"leakage_db": "leakage", "sir_db": "SIR", "isr_db": "ISR", "sar_db": "SAR"}
SHORT_SECONDS = 2.0
LABELS = {"mixture": "mixture (floor)", "oracle": "oracle mask (ceiling)"}


def page(title: str, rows: Sequence[Row], clips: Sequence[Clip], facts: Mapping[str, Any]) -> str:
    """One HTML document that makes no request: style, script, sounds and pictures are all inside.

    Args:
        title: the heading.
        rows: tidy scores: ``track``, ``source``, ``method`` and metrics in dB (NaN where there is none), such
            as `vsep_ray.evaluation.scores.Score` as dicts. Methods appear in their order.
        clips: the sounds of the tracks to listen to, in the order of the page.
        facts: what was evaluated, shown as a list.
    """
    parts = [
        f"<h1>{_text(title)}</h1>",
        _facts(facts),
        "<h2>Scores (dB): mean / median over tracks and sources</h2>",
        _score_table(rows),
        "<h2>By source: mean / median</h2>",
        _source_tables(rows),
        "<h2>Listen, worst track first</h2>" if clips else "",
        *(
            _track(track, [c for c in clips if c.track == track], rows)
            for track in dict.fromkeys(c.track for c in clips)
        ),
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{_text(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>'
        f"<body>{''.join(parts)}<script>{SCRIPT}</script></body></html>"
    )


def _facts(facts: Mapping[str, Any]) -> str:
    return "<dl>" + "".join(f"<dt>{_text(k)}</dt><dd>{_text(v)}</dd>" for k, v in facts.items()) + "</dl>"


def _score_table(rows: Sequence[Row]) -> str:
    columns = METRICS | {k: v for k, v in EXTRA.items() if any(_heard(rows, k))}
    head = ["method", *columns.values(), "scores", "silent"]
    body = []
    for method in _distinct(rows, "method"):
        mine = [r for r in rows if r["method"] == method]
        heard = len(_heard(mine, "si_sdr_db"))
        cells = [LABELS.get(method, method), *(_cell(mine, c) for c in columns), heard, len(mine) - heard]
        body.append((method, cells))
    return _table(head, body)


def _source_tables(rows: Sequence[Row]) -> str:
    sources = _distinct(rows, "source")
    tables = []
    for metric in ("si_sdr_db", "sdr_db"):
        body = []
        for method in _distinct(rows, "method"):
            mine = [r for r in rows if r["method"] == method]
            cells = [_cell([r for r in mine if r["source"] == s], metric) for s in sources]
            body.append((method, [LABELS.get(method, method), *cells]))
        tables.append(_table([METRICS[metric], *sources], body))
    return "<br>".join(tables)


def _track(track: str, clips: Sequence[Clip], rows: Sequence[Row]) -> str:
    gain = 1 / max(1.0, *(float(np.abs(c.audio).max(initial=0.0)) for c in clips))
    short = max(c.audio.shape[1] / c.sample_rate for c in clips) < SHORT_SECONDS
    sounds = "".join(_sound(clip, gain, rows) for clip in clips)
    return (
        f'<section class="track"><h3>{_text(track)}</h3>'
        '<div class="transport"><button class="play">Play</button>'
        '<input class="seek" type="range" min="0" max="1" step="any" value="0" aria-label="position">'
        f'<label><input class="loop" type="checkbox"{" checked" if short else ""}> loop</label></div>'
        f"{sounds}</section>"
    )


def _sound(clip: Clip, gain: float, rows: Sequence[Row]) -> str:
    return (
        f'<div class="sound" data-on="{int(clip.method == "mixture")}">'
        f"<div>{_text(clip.name)}<br><small>{_text(clip.method)}{_score(clip, rows)}</small></div>"
        '<div><button class="solo">solo</button> <button class="mute">mute</button></div>'
        f'<img alt="spectrogram" src="{spectrogram_uri(clip)}">'
        f'<audio controls preload="metadata" src="{audio_uri(clip, gain)}"></audio></div>'
    )


def _score(clip: Clip, rows: Sequence[Row]) -> str:
    key = (clip.track, clip.name, clip.method)
    values = _heard([r for r in rows if (r["track"], r["source"], r["method"]) == key], "si_sdr_db")
    return f" {values[0]:.1f} dB" if values else ""


def _table(head: Sequence[str], body: Sequence[tuple[str, Sequence[Any]]]) -> str:
    lines = [
        f'<tr class="{_text(kind)}">{"".join(f"<td>{_text(c)}</td>" for c in cells)}</tr>'
        for kind, cells in body
    ]
    titles = "".join(f"<th>{_text(h)}</th>" for h in head)
    return f'<div class="scroll"><table><tr>{titles}</tr>{"".join(lines)}</table></div>'


def _cell(rows: Sequence[Row], metric: str) -> str:
    values = _heard(rows, metric)
    return f"{np.mean(values):.2f} / {np.median(values):.2f}" if values else "-"


def _heard(rows: Sequence[Row], metric: str) -> list[float]:
    return [r[metric] for r in rows if not math.isnan(r.get(metric, math.nan))]


def _distinct(rows: Sequence[Row], key: str) -> list[str]:
    return list(dict.fromkeys(r[key] for r in rows))


def _text(value: Any) -> str:
    return html.escape(value if isinstance(value, str) else json.dumps(value))
