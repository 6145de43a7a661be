"""A sweep leaves a row per trial, figures, and the best trial's configs and model."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import ray.tune

from vsep_ray import checkpoint, storage
from vsep_ray.cluster.train.held_out import QUIETEST
from vsep_ray.cluster.tune.space import axes_of, configs_of, metrics_of
from vsep_ray.config import FORMAT, to_dict
from vsep_ray.crops.store import CropStore
from vsep_ray.objectives.alarms import SILENT_SHARE
from vsep_ray.presets import TuneConfig
from vsep_ray.report.figures import dependence_figure, sweep_figure
from vsep_ray.tracking import Tracker


def rows_of(results: ray.tune.ResultGrid, config: TuneConfig) -> list[dict[str, Any]]:
    """Returns the trials in the order of their numbers; a restored sweep has them in another."""
    found: list[Any] = [results[i] for i in range(len(results))]
    return [_row(r, config) for r in sorted(found, key=lambda r: r.config["trial"]["number"])]


def _row(result: Any, config: TuneConfig) -> dict[str, Any]:
    metrics = result.metrics or {}
    step = metrics.get("step", 0)
    return {
        "point": result.config["trial"]["point"],
        **{m: metrics.get(m, float("nan")) for m in metrics_of(config)},
        "step": step,
        "status": status_of(result.error, step >= config.fit.steps, metrics.get(QUIETEST, 1.0)),
    }


def status_of(error: Any, done: bool, quietest: float) -> str:
    """Returns failed, stopped (early), silent (it left a source out) or finished."""
    if error:
        return "failed"
    if not done:
        return "stopped"
    return "silent" if quietest < SILENT_SHARE else "finished"


def finish(child: Tracker, row: Mapping[str, Any], metrics: Sequence[str]) -> None:
    """Ends the run of a trial as its row says."""
    child.metrics({m: row[m] for m in metrics if math.isfinite(row[m])}, row["step"])
    status = {"failed": "FAILED", "stopped": "KILLED"}.get(row["status"], "FINISHED")
    child.finish(status)  # type: ignore[arg-type]


def export(
    config: TuneConfig,
    store: CropStore,
    best: Mapping[str, Any],
    model: str,
    priors: str,
    name: str,
    parent: Tracker,
) -> dict[str, Any]:
    """Writes the best trial's configs to a file, and registers its model.

    `train_priors.py` and `train_separator.py` take the file by ``--config``.
    """
    here: dict[str, Any] = {**dict.fromkeys(config.places(), ""), "fresh": False, "crops": (store.uri,)}
    prior, separator = configs_of(config, best["point"])
    content = {
        "format": FORMAT,
        "train_priors": to_dict(dataclasses.replace(prior, **here)),
        "train_separator": to_dict(dataclasses.replace(separator, **here, priors=priors)),
        **best,
    }
    uri = storage.join(config.storage, "sweeps", name, "best.json")
    text = json.dumps(content, indent=1)
    storage.write_bytes(uri, text.encode())
    parent.text(text, "best.json")
    metric = metrics_of(config)[0]
    parent.metrics({f"best/{metric}": best[metric]})
    parent.register(checkpoint.local(model), "vsep-separator", "sweep")
    return {**best, "config": uri, "model": model}


def record(
    config: TuneConfig, rows: Sequence[Mapping[str, Any]], table: Sequence[Mapping[str, Any]], parent: Tracker
) -> None:
    """Logs ``sweep.json`` with all rows, a surface over the first two axes, and the dependence on each."""
    parent.text(json.dumps({"rows": rows, "dependence": table}, indent=1), "sweep.json")
    parent.metrics({"rejected_silent": float(sum(r["status"] == "silent" for r in rows))})
    shown = [name for name, values in axes_of(config).items() if name != "seed" and len(values) > 1][:2]
    for metric in metrics_of(config) if not config.draws else ():  # drawn points make no grid
        values = [{**r["point"], metric: r[metric]} for r in rows]
        if len(shown) == 2:
            parent.figure(sweep_figure(values, shown[0], shown[1], metric), f"sweep/{metric}.png")
        if table:
            parent.figure(dependence_figure(table, metric), f"dependence/{metric}.png")
