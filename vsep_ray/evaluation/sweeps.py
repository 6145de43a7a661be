"""What a sweep says: which trial to choose, and how a metric depends on each axis, over seeds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Row = Mapping[str, Any]
"""A trial: its ``point`` (axis -> value), its ``status`` and its metrics."""


def choose(rows: Sequence[Row], metric: str) -> Row:
    """Returns the finished trial of the largest metric. Trials that were stopped early, that failed, or that
    left a source silent are no candidates.

    Raises:
        RuntimeError: no trial can be chosen.
    """
    finished = [r for r in rows if r["status"] == "finished" and np.isfinite(r[metric])]
    if not finished:
        states = ", ".join(sorted({r["status"] for r in rows}))
        raise RuntimeError(f"no trial can be chosen (they are: {states}); see the runs in MLflow")
    return max(finished, key=lambda r: r[metric])


def dependence(rows: Sequence[Row], metrics: Sequence[str]) -> list[dict[str, Any]]:
    """Returns mean and deviation over seeds of each metric at each value of each axis.

    A seed's number is the mean over its finished trials with that value, so the deviation (of the sample,
    N - 1) is that of seeds alone, as long as every trial ran to its end; axes of one value are left out.

    Returns:
        One row per axis and value: axis, value, seeds, trials, and per metric its mean and deviation (None of
        a single seed).

    Example:
        >>> rows = [{"point": {"beta": b, "seed": s}, "status": "finished", "db": b + s}
        ...         for b in (1.0, 10.0) for s in (0, 2)]
        >>> dependence(rows, ["db"])[1]["mean"], round(dependence(rows, ["db"])[1]["deviation"]["db"], 2)
        ({'db': 11.0}, 1.41)
    """
    done = [r for r in rows if r["status"] == "finished"]
    found = []
    for axis in (a for a in (rows[0]["point"] if rows else ()) if a != "seed"):
        values = {str(r["point"][axis]): r["point"][axis] for r in rows}  # a value may be a list
        for value in values.values() if len(values) > 1 else ():
            of_value = [r for r in done if r["point"][axis] == value]
            found.append({"axis": axis, "value": value, **_over_seeds(of_value, metrics)})
    return found


def _over_seeds(rows: Sequence[Row], metrics: Sequence[str]) -> dict[str, Any]:
    seeds = sorted({r["point"].get("seed", 0) for r in rows})
    by_seed = {
        m: [float(np.mean([r[m] for r in rows if r["point"].get("seed", 0) == s])) for s in seeds]
        for m in metrics
    }
    return {
        "seeds": len(seeds),
        "trials": len(rows),
        "mean": {m: float(np.mean(v)) if v else None for m, v in by_seed.items()},
        "deviation": {m: float(np.std(v, ddof=1)) if len(v) > 1 else None for m, v in by_seed.items()},
    }
