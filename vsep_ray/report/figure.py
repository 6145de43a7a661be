"""The scores as one picture."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def score_figure(rows: Sequence[Mapping[str, Any]], metric: str = "si_sdr_db") -> "Figure":
    """Box plots of a metric (dB) per source, one box per method; silent references are left out."""
    from matplotlib.figure import Figure

    sources, methods = (list(dict.fromkeys(r[key] for r in rows)) for key in ("source", "method"))
    figure = Figure(figsize=(1.5 + 1.4 * len(sources), 4), layout="constrained")
    axis = figure.subplots()
    for m, method in enumerate(methods):
        values = [_values(rows, source, method, metric) for source in sources]
        positions = [k + 0.25 * (m - (len(methods) - 1) / 2) for k in range(len(sources))]
        boxes = axis.boxplot(
            values, positions=positions, widths=0.2, patch_artist=True, manage_ticks=False, sym="."
        )
        for box in boxes["boxes"]:
            box.set(facecolor=f"C{m}", alpha=0.6, label=method if box is boxes["boxes"][0] else None)
    axis.set_xticks(range(len(sources)), sources)
    axis.set_ylabel(f"{metric.removesuffix('_db').replace('_', '-')} (dB)")
    axis.grid(axis="y", alpha=0.3)
    axis.legend(fontsize="small")
    return figure


def _values(rows: Sequence[Mapping[str, Any]], source: str, method: str, metric: str) -> list[float]:
    return [
        r[metric]
        for r in rows
        if (r["source"], r["method"]) == (source, method) and not math.isnan(r[metric])
    ]
