"""The listening page: score tables, the worst tracks first, players that stay in step."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from vsep_ray.evaluation.scores import CEILING, FLOOR, Score, aggregate
from vsep_ray.report import parts
from vsep_ray.report.media import Clip

Figures = Mapping[str, Any]
METRICS = {"si_sdr_db": "SI-SDR", "si_sdr_improvement_db": "SI-SDR improvement", "sdr_db": "SDR (museval v4)"}
EXTRA = {"leakage_db": "leakage", "sir_db": "SIR", "isr_db": "ISR", "sar_db": "SAR"}
LABELS = {FLOOR: "mixture (floor)", CEILING: "oracle mask (ceiling)"}


def page(title: str, scores: Sequence[Score], clips: Sequence[Clip], facts: Mapping[str, Any]) -> str:
    """Returns one HTML document that makes no request: style, script, sounds and pictures are all inside.

    Args:
        title: the heading.
        scores: what each method reached; methods appear in their order.
        clips: the sounds of the tracks to listen to, in the order of the page.
        facts: what was evaluated, shown as a list.
    """
    methods = aggregate(scores)
    known = {(s.track, s.source, s.method): s.si_sdr_db for s in scores if not math.isnan(s.si_sdr_db)}

    def caption(clip: Clip) -> str:
        value = known.get((clip.track, clip.name, clip.method))
        return clip.method if value is None else f"{clip.method} {value:.1f} dB"

    return parts.document(title, [
        parts.facts(facts),
        "<h2>Scores (dB): mean / median over tracks and sources</h2>",
        _score_table(methods, Counter(s.method for s in scores)),
        "<h2>By source: mean / median</h2>",
        "<br>".join(_source_table(methods, metric) for metric in ("si_sdr_db", "sdr_db")),
        "<h2>Listen, worst track first</h2>" if clips else "",
        parts.players(clips, caption),
    ])  # fmt: skip


def _score_table(methods: Mapping[str, Figures], counts: Mapping[str, int]) -> str:
    columns = METRICS | {k: v for k, v in EXTRA.items() if any(k in figures for figures in methods.values())}
    body = []
    for method, figures in methods.items():
        silent = figures["silent"]
        body.append(_row(method, [*(_cell(figures, c) for c in columns), counts[method] - silent, silent]))
    return parts.table(["method", *columns.values(), "scores", "silent"], body)


def _source_table(methods: Mapping[str, Figures], metric: str) -> str:
    sources = dict.fromkeys(source for figures in methods.values() for source in figures["sources"])
    body = [_row(m, [_cell(of, metric) for of in f["sources"].values()]) for m, f in methods.items()]
    return parts.table([METRICS[metric], *sources], body)


def _row(method: str, cells: Sequence[Any]) -> tuple[str, list[Any]]:
    """Returns a row and its class, by which the page's style sets off what was evaluated."""
    return "bound" if method in LABELS else "model", [LABELS.get(method, method), *cells]


def _cell(figures: Figures, metric: str) -> str:
    pair = figures.get(metric, {"mean": None})
    return "-" if pair["mean"] is None else f"{pair['mean']:.2f} / {pair['median']:.2f}"
