"""The listening page: score tables, the worst tracks first, players that stay in step."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from vsep_ray.evaluation.scores import CEILING, FLOOR, Score, aggregate
from vsep_ray.report import parts
from vsep_ray.report.media import Clip

Figures = Mapping[str, Any]
Row = tuple[str, list[Any]]
MUSEVAL = " (museval v4)"
METRICS = {"si_sdr_db": "SI-SDR", "si_sdr_improvement_db": "SI-SDR improvement", "sdr_db": "SDR" + MUSEVAL}
EXTRA = {"leakage_db": "leakage", "sir_db": "SIR", "isr_db": "ISR", "sar_db": "SAR"}
PAIR, NONE = " / ", "-"
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
        _overall(scores, methods),
        _by_source(scores, methods),
        "<h2>Listen, worst track first</h2>" if clips else "",
        parts.players(clips, caption),
    ])  # fmt: skip


def _overall(scores: Sequence[Score], methods: Mapping[str, Figures]) -> str:
    columns = METRICS | {k: v for k, v in EXTRA.items() if any(k in figures for figures in methods.values())}
    counts, pairs = Counter(s.method for s in scores), len({(s.track, s.source) for s in scores})
    rows = [
        _row(m, [*(_cell(f, c) for c in columns), counts[m] - f["silent"], f["silent"]])
        for m, f in methods.items()
    ]
    explained = [*(name.removesuffix(MUSEVAL) for name in columns.values()), "floor", "oracle", "silent"]
    return (
        f"<h2>Scores (dB): {_kind(rows, pairs, 'tracks and sources')}</h2>"
        f"{parts.table(['method', *columns.values(), 'scores', 'silent'], rows)}{parts.words(explained)}"
    )


def _by_source(scores: Sequence[Score], methods: Mapping[str, Figures]) -> str:
    sources = list(dict.fromkeys(s.source for s in scores))
    tables = {
        metric: [_row(m, [_cell(f["sources"][s], metric) for s in sources]) for m, f in methods.items()]
        for metric in ("si_sdr_db", "sdr_db")
    }
    kind = _kind([row for rows in tables.values() for row in rows], len({s.track for s in scores}), "tracks")
    shown = "<br>".join(parts.table([METRICS[metric], *sources], rows) for metric, rows in tables.items())
    return f"<h2>By source (dB): {kind}</h2>{shown}"


def _kind(rows: Sequence[Row], count: int, over: str) -> str:
    """Returns what the cells of a table are, for its head."""
    if count == 1:
        return "one track, one number"
    pairs = [PAIR in str(cell) for _, (_, *cells) in rows for cell in cells if cell != NONE]
    if not any(pairs):
        return f"mean over {over}, and the median is the same"
    return f"mean / median over {over}" + ("" if all(pairs) else "; one number where both are the same")


def _row(method: str, cells: Sequence[Any]) -> Row:
    """Returns a row and its class, by which the page's style sets off what was evaluated."""
    return "bound" if method in LABELS else "model", [LABELS.get(method, method), *cells]


def _cell(figures: Figures, metric: str) -> str:
    pair = figures.get(metric, {"mean": None})
    if pair["mean"] is None:
        return NONE
    return PAIR.join(dict.fromkeys(f"{pair[of]:.2f}" for of in ("mean", "median")))
