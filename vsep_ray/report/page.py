"""The listening page: score tables, the worst tracks first, players that stay in step."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vsep_ray.report import parts
from vsep_ray.report.media import Clip

Row = Mapping[str, Any]
METRICS = {"si_sdr_db": "SI-SDR", "si_sdr_improvement_db": "SI-SDR improvement", "sdr_db": "SDR (museval v4)"}
EXTRA = {"leakage_db": "leakage", "sir_db": "SIR", "isr_db": "ISR", "sar_db": "SAR"}
LABELS = {"mixture": "mixture (floor)", "oracle": "oracle mask (ceiling)"}


def page(title: str, rows: Sequence[Row], clips: Sequence[Clip], facts: Mapping[str, Any]) -> str:
    """Returns one HTML document that makes no request: style, script, sounds and pictures are all inside.

    Args:
        title: the heading.
        rows: tidy scores: ``track``, ``source``, ``method`` and metrics in dB (NaN where there is none), such
            as `vsep_ray.evaluation.scores.Score` as dicts. Methods appear in their order.
        clips: the sounds of the tracks to listen to, in the order of the page.
        facts: what was evaluated, shown as a list.
    """
    sections = [
        parts.facts(facts),
        "<h2>Scores (dB): mean / median over tracks and sources</h2>",
        _score_table(rows),
        "<h2>By source: mean / median</h2>",
        _source_tables(rows),
        "<h2>Listen, worst track first</h2>" if clips else "",
        parts.players(clips, lambda clip: f"{clip.method}{_score(clip, rows)}"),
    ]
    return parts.document(title, sections)


def _score_table(rows: Sequence[Row]) -> str:
    columns = METRICS | {k: v for k, v in EXTRA.items() if any(_heard(rows, k))}
    head = ["method", *columns.values(), "scores", "silent"]
    body = []
    for method in _distinct(rows, "method"):
        mine = [r for r in rows if r["method"] == method]
        heard = len(_heard(mine, "si_sdr_db"))
        cells = [LABELS.get(method, method), *(_cell(mine, c) for c in columns), heard, len(mine) - heard]
        body.append((_kind(method), cells))
    return parts.table(head, body)


def _kind(method: str) -> str:
    """Returns the class of a method's rows, by which the page's style sets off what was evaluated."""
    return "bound" if method in LABELS else "model"


def _source_tables(rows: Sequence[Row]) -> str:
    sources = _distinct(rows, "source")
    tables = []
    for metric in ("si_sdr_db", "sdr_db"):
        body = []
        for method in _distinct(rows, "method"):
            mine = [r for r in rows if r["method"] == method]
            cells = [_cell([r for r in mine if r["source"] == s], metric) for s in sources]
            body.append((_kind(method), [LABELS.get(method, method), *cells]))
        tables.append(parts.table([METRICS[metric], *sources], body))
    return "<br>".join(tables)


def _score(clip: Clip, rows: Sequence[Row]) -> str:
    key = (clip.track, clip.name, clip.method)
    values = _heard([r for r in rows if (r["track"], r["source"], r["method"]) == key], "si_sdr_db")
    return f" {values[0]:.1f} dB" if values else ""


def _cell(rows: Sequence[Row], metric: str) -> str:
    values = _heard(rows, metric)
    return f"{np.mean(values):.2f} / {np.median(values):.2f}" if values else "-"


def _heard(rows: Sequence[Row], metric: str) -> list[float]:
    return [r[metric] for r in rows if not math.isnan(r.get(metric, math.nan))]


def _distinct(rows: Sequence[Row], key: str) -> list[str]:
    return list(dict.fromkeys(r[key] for r in rows))
