"""tune: a grid over beta, flow depth, seed and any dotted config path; ASHA stops what falls behind; the
same command resumes."""

import dataclasses
import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

import ray
import ray.tune
from ray.tune.integration.ray_train import TuneReportCallback
from ray.tune.schedulers import ASHAScheduler

from vsep_ray.cluster import train_priors
from vsep_ray.cluster.inputs import crop_store, prior_directories, prior_marks
from vsep_ray.cluster.runs import git_revision, start_run
from vsep_ray.cluster.train import Launch, forget, run_name, train
from vsep_ray.cluster.train_separator import SeparatorTask
from vsep_ray.config import UserError, replace_path, to_dict
from vsep_ray.data import storage
from vsep_ray.data.crops import CropStore
from vsep_ray.figures import sweep_figure
from vsep_ray.presets import TrainPriorsConfig, TrainSeparatorConfig, TuneConfig
from vsep_ray.tracking import Tracker

METRIC = "si_sdr_improvement_db"
"""Median over remixes of held-out clips: comparable across beta, and no paired song is looked at."""
Point = dict[str, Any]


def run(config: TuneConfig) -> dict[str, Any]:
    """Train priors once per depth and seed, then the trials; the figures of the JSON line."""
    store = crop_store(config)
    name = run_name("tune", config, store.fingerprint)
    if config.fresh:
        forget(config.storage, name)
    with start_run(config, "sweeps", name, tags={"crops": store.fingerprint}) as parent:
        points = grid(config)
        priors = {
            key: _priors(config, store, name, *key)
            for key in dict.fromkeys((p["depth"], p["seed"]) for p in points)
        }
        children = [_child(config, name, parent.run_id, p) for p in points]
        trials = [
            _trial(config, store, priors, p, child.run_id) for p, child in zip(points, children, strict=True)
        ]
        results = _tune(config, name, trials)
        rows = [_row(p, r) for p, r in zip(points, results, strict=True)]
        for child, row in zip(children, rows, strict=True):
            child.metrics({METRIC: row[METRIC], "step": row["step"]})
            child.finish(
                "FAILED"
                if row["status"] == "failed"
                else "FINISHED"
                if row["status"] == "finished"
                else "KILLED"
            )
        best = _export(config, store, priors, rows, name, parent)
    return {
        "run_id": parent.run_id,
        "trials": len(rows),
        "stopped_early": sum(r["status"] == "stopped" for r in rows),
        "best": best,
        "rows": rows,
    }


def plan(config: TuneConfig) -> dict[str, Any]:
    """What `run` would do."""
    return {"trials": len(grid(config)), "points": grid(config)}


def grid(config: TuneConfig) -> list[Point]:
    """The points of the search, in the order in which they are tried."""
    axes = {
        "beta": config.betas,
        "depth": config.depths,
        **dict(_axis(text) for text in config.axes),
        "seed": config.seeds,
    }
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def configs_of(
    config: TuneConfig, point: Mapping[str, Any]
) -> tuple[TrainPriorsConfig, TrainSeparatorConfig]:
    """The job configs of one point: beta and depth by their names, everything else by its dotted path in
    the separator's config."""
    priors = replace_path(config.priors, "prior.steps", point["depth"])
    priors = replace_path(priors, "fit.seed", point["seed"])
    separator = replace_path(config.separator, "fit.seed", point["seed"])
    separator = dataclasses.replace(separator, beta=point["beta"])
    for path, value in point.items():
        if path not in ("beta", "depth", "seed"):
            separator = replace_path(separator, path, value)
    common: dict[str, Any] = {"storage": config.storage, "tracking_uri": config.tracking_uri}
    return dataclasses.replace(priors, **common), dataclasses.replace(separator, **common)


def _axis(text: str) -> tuple[str, tuple[Any, ...]]:
    path, _, values = text.partition("=")
    try:
        return path, tuple(json.loads(v) for v in values.split(","))
    except json.JSONDecodeError as error:
        raise UserError(f"--axes takes path=value,value (numbers), got {text!r}") from error


def _priors(config: TuneConfig, store: CropStore, name: str, depth: int, seed: int) -> str:
    priors, _ = configs_of(config, {"beta": 1.0, "depth": depth, "seed": seed})
    priors = dataclasses.replace(priors, crops=store.uri)
    return train_priors.run(priors, f"sweeps/{name}")[
        "priors"
    ]  # not among the models that jobs find by default


def _trial(
    config: TuneConfig, store: CropStore, priors: Mapping[Any, str], point: Point, run_id: str
) -> dict[str, Any]:
    _, separator = configs_of(config, point)
    separator = dataclasses.replace(separator, crops=store.uri, priors=priors[point["depth"], point["seed"]])
    directories = prior_directories(separator, store)
    task = SeparatorTask(separator.fit, separator.length, store, store, directories, separator)
    name = run_name("trial", separator, store.fingerprint, prior_marks(directories))
    provenance = {
        "regime": separator.regime,
        "run_id": run_id,
        "crops": store.fingerprint,
        "git": git_revision(),
        "point": point,
    }
    launch = Launch(name, config.storage, config.tracking_uri, run_id, config.resources, 1, provenance)
    return {"task": task, "launch": launch, "target": storage.join(config.storage, "sweeps", "trials", name)}


def _tune(config: TuneConfig, name: str, trials: list[dict[str, Any]]) -> Iterator[Any]:
    root = storage.join(config.storage, "runs")
    path = storage.join(root, name)
    room = ray.cluster_resources().get("GPU", 0) or ray.cluster_resources().get("CPU", 1)
    fit = config.separator.fit
    scheduler = ASHAScheduler(
        time_attr="step",
        max_t=fit.steps,
        grace_period=fit.checkpoint_every,
        reduction_factor=config.reduction,
    )
    trainable = ray.tune.with_resources(_train_trial, {"cpu": 0})
    if ray.tune.Tuner.can_restore(path):
        tuner = ray.tune.Tuner.restore(path, trainable=trainable, resume_unfinished=True, resume_errored=True)
    else:
        tuner = ray.tune.Tuner(
            trainable,
            param_space={"trial": ray.tune.grid_search(trials)},
            tune_config=ray.tune.TuneConfig(
                metric=METRIC, mode="max", scheduler=scheduler, max_concurrent_trials=max(1, int(room))
            ),
            run_config=ray.tune.RunConfig(name=name, storage_path=root, verbose=0),
        )
    return iter(tuner.fit())


def _train_trial(space: dict[str, Any]) -> None:
    trial = space["trial"]
    train(trial["task"], trial["launch"], trial["target"], callbacks=[TuneReportCallback()])


def _row(point: Point, result: Any) -> dict[str, Any]:
    metrics = result.metrics or {}
    done = metrics.get("step", 0) >= result.config["trial"]["task"].fit.steps
    status = "failed" if result.error else "finished" if done else "stopped"
    return {
        **point,
        METRIC: metrics.get(METRIC, float("nan")),
        "step": metrics.get("step", 0),
        "status": status,
    }


def _export(
    config: TuneConfig,
    store: CropStore,
    priors: Mapping[Any, str],
    rows: list[dict[str, Any]],
    name: str,
    parent: Tracker,
) -> dict[str, Any]:
    finished = [r for r in rows if r["status"] == "finished"]
    if not finished:
        raise RuntimeError("no trial reached its last step; see the failed runs in MLflow")
    best = max(finished, key=lambda r: r[METRIC])
    parts = configs_of(config, {k: v for k, v in best.items() if k not in (METRIC, "step", "status")})
    content = {"train_priors": to_dict(parts[0]), "train_separator": to_dict(parts[1]), "point": best}
    uri = storage.join(config.storage, "sweeps", name, "best.json")
    storage.write_bytes(uri, json.dumps(content, indent=1).encode())
    parent.text(json.dumps(content, indent=1), "best.json")
    parent.figure(sweep_figure(rows, "beta", "depth", METRIC), "sweep.png")
    parent.metrics({f"best/{METRIC}": best[METRIC]})
    return {**best, "config": uri}


def _child(config: TuneConfig, name: str, parent: str, point: Point) -> Tracker:
    label = " ".join(f"{k}={v:g}" for k, v in point.items())
    return start_run(config, "sweeps", label, parent=parent, tags={"sweep": name}, params=point)
