"""tune searches beta, flow depth, seed and any field of the configs; the same command resumes.

ASHA stops what falls behind.
"""

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ray
import ray.tune
from ray.tune.integration.ray_train import TuneReportCallback
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from vsep_ray import storage
from vsep_ray.cluster.inputs import crop_store, log_crops
from vsep_ray.cluster.runtime import capacity, talk
from vsep_ray.cluster.runtime.tracked_run import noted_run, start_run
from vsep_ray.cluster.train import priors as train_priors
from vsep_ray.cluster.train.board import watched
from vsep_ray.cluster.train.held_out import BOUND
from vsep_ray.cluster.train.launch import forget, run_name, train
from vsep_ray.cluster.train.separator import models_of, task_of
from vsep_ray.cluster.train.task import Launch
from vsep_ray.cluster.tune.proposals import Draws
from vsep_ray.cluster.tune.report import export, finish, record, rows_of
from vsep_ray.cluster.tune.space import Point, axes_of, configs_of, grid, label, metrics_of, priors_of
from vsep_ray.config import UserError, fingerprint, settled
from vsep_ray.crops.store import CropStore
from vsep_ray.datasets.track import MIXTURE
from vsep_ray.evaluation.sweeps import choose, dependence
from vsep_ray.presets import TuneConfig
from vsep_ray.tracking import Tracker


def run(config: TuneConfig) -> dict[str, Any]:
    """Trains the priors once for all trials that share them, then the trials.

    A killed sweep goes on by the same command. One of more draws starts afresh, since Tune restores a search
    with the budget that it had; where it draws the same points, it finds their models.

    Returns:
        The figures of the JSON line.

    Raises:
        UserError: an axis is no field or decides nothing, or regime A has a store without mixtures.
    """
    config = settled(config)
    store = crop_store(config, max(config.priors.length, config.separator.length))
    points = grid(config)  # refuses axes that are no fields, before anything is trained
    _check_mixtures(config, store)
    # Tune restores trials as they were: with another budget it is another sweep, whose trials go on
    budget = (config.fit.steps, config.priors.fit.steps)
    name = run_name("tune", config, store.mark, *budget, axes_of(config), models_of(config.separator, store))
    if config.fresh:
        forget(config.storage, name)
        storage.delete_folder(storage.join(config.storage, "sweeps", name))
    with _begin(config, name, {}, crops=store.mark) as parent:
        log_crops(parent, store)
        experiment = config.experiment or "vsep/sweeps"
        below = dataclasses.replace(config, parent_run=parent.run_id, experiment=experiment)
        by_priors = {label(priors_of(p)): p for p in points}
        priors = {key: _priors(below, store, p) for key, p in by_priors.items()}
        trial = functools.partial(_trial, below, store, name, priors)
        made = [trial(p)["launch"].name for p in _made_before(config, points)]  # and draws shared dreams
        if len(set(made)) < len(made):  # they would write to the same place
            raise UserError("two points of the sweep train the same: an axis decides nothing in this config")
        trials = config.draws or len(points)
        with watched(name, f"{trials} trials", trials * config.fit.steps):
            rows = rows_of(_tuner(below, name, trial).fit(), config)
        for row in rows:
            finish(_begin(below, name, row["point"]), row, metrics_of(config))
        # where trials are stopped early, or drawn, the survivors say nothing of the axes
        table = [] if config.reduction > 1 or config.draws else dependence(rows, metrics_of(config))
        record(config, rows, table, parent)
        chosen = choose(rows, metrics_of(config)[0])
        model, shared = trial(chosen["point"])["target"], priors[label(priors_of(chosen["point"]))]
        best = export(below, store, chosen, model, shared, name, parent)
    return {"run_id": parent.run_id, **_figures(config, rows, table), "best": best}


def _figures(config: TuneConfig, rows: list[dict[str, Any]], table: list[dict[str, Any]]) -> dict[str, Any]:
    count = {s: sum(r["status"] == s for r in rows) for s in ("stopped", "silent", "failed")}
    return {
        "trials": len(rows),
        "stopped_early": count["stopped"],
        "rejected_silent": count["silent"],
        "failed": count["failed"],
        "selected_by": metrics_of(config)[0],
        "dependence": table,
        "rows": rows,
    }


def plan(config: TuneConfig) -> dict[str, Any]:
    """Returns what `run` would do."""
    config = settled(config)
    points = grid(config)
    what = {"draws_from": axes_of(config)} if config.draws else {"points": points}
    return {"trials": config.draws or len(points), "selected_by": metrics_of(config)[0], **what}


def closing(config: TuneConfig, figures: Mapping[str, Any]) -> list[talk.Line]:
    """Returns what is said of the sweep at the end of the job."""
    best, by = figures["best"], figures["selected_by"]
    ends = [(figures[k], k.replace("_", " ")) for k in ("stopped_early", "rejected_silent", "failed")]
    counts = ", ".join(f"{number} {words}" for number, words in ends if number)
    return [
        ("", f"best of {figures['trials']} trials{f' ({counts})' if counts else ''}: {label(best['point'])}"),
        ("", f"{by} {best[by]:.3f}"),
        ("model", best["model"]),
        ("next", talk.command("train_separator", config, "--config", best["config"])),
    ]


def _priors(config: TuneConfig, store: CropStore, point: Point) -> str:
    priors, _ = configs_of(config, point)
    priors = dataclasses.replace(priors, crops=(store.uri,), resources=config.resources)
    return train_priors.run(priors, "sweeps/priors")["priors"]  # jobs do not find them there by default


def _trial(
    config: TuneConfig,
    store: CropStore,
    group: str,
    priors: Mapping[Any, str],
    point: Point,
    run_id: str = "",
) -> dict[str, Any]:
    _, separator = configs_of(config, point)
    separator = dataclasses.replace(
        separator, crops=(store.uri,), priors=priors[label(priors_of(point))], resources=config.resources
    )
    task = task_of(separator, store)
    name = run_name("trial", task.config, *task.marks)
    data = {"crops": store.mark, "dataset": store.dataset}
    launch = Launch.of(separator, name, run_id, 1, group, regime=separator.regime, point=point, **data)
    return {"task": task, "launch": launch, "target": storage.join(config.storage, "sweeps", "trials", name)}


def _made_before(config: TuneConfig, points: Sequence[Point]) -> Sequence[Point]:
    """Returns the points of a grid; of drawn points those near the first.

    Near are points that differ from it in one axis, or in their priors alone.
    """

    def is_near(point: Point) -> bool:
        apart = {axis for axis in point if point[axis] != points[0][axis]}
        return len(apart) < 2 or apart <= priors_of(point).keys()

    return [p for p in points if is_near(p)] if config.draws else points


def _check_mixtures(config: TuneConfig, store: CropStore) -> None:
    if BOUND in metrics_of(config) and MIXTURE not in store.statistics:
        raise UserError(
            f"regime A is selected by the bound of mixtures, and {store.uri} has none; "
            "prepare crops of a data set with mixtures, or set --separator.regime B"
        )


def _tuner(config: TuneConfig, name: str, trial: Callable[..., dict[str, Any]]) -> ray.tune.Tuner:
    """Returns the one run of Tune that a sweep is, restored where the same command left one."""
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # Tune's own would let an interrupted sweep choose
    root = storage.join(config.storage, "runs")
    trainable = ray.tune.with_parameters(_train_trial, config=config, name=name, trial=trial)
    # the training workers hold the real ones
    trainable = ray.tune.with_resources(trainable, {"cpu": capacity.TRIAL_CPUS})
    points = [{"number": i, "point": p} for i, p in enumerate(grid(config))]
    space = {} if config.draws else {"trial": ray.tune.grid_search(points)}
    if tuner := _restored(storage.join(root, name), trainable, space):
        return tuner
    return ray.tune.Tuner(
        trainable,
        param_space=space,
        tune_config=ray.tune.TuneConfig(
            metric=metrics_of(config)[0],
            mode="max",
            num_samples=config.draws or 1,
            search_alg=Draws(config) if config.draws else None,
            scheduler=_scheduler(config),
            max_concurrent_trials=capacity.workers(config.resources, config.draws or len(points)),
        ),
        run_config=ray.tune.RunConfig(
            name=name,
            storage_path=root,
            verbose=0,
            # trials too may lie on a node that is lost; each goes on from its own checkpoint
            failure_config=ray.tune.FailureConfig(config.resources.max_failures),
        ),
    )


def _restored(path: str, trainable: Any, space: dict[str, Any]) -> ray.tune.Tuner | None:
    """Returns the run that the same command left at ``path``.

    It is None where there is none, or where a kill tore its list of trials: Tune would go on with one draw.
    """
    if not ray.tune.Tuner.can_restore(path):
        return None
    tuner = ray.tune.Tuner.restore(
        path, trainable, resume_unfinished=True, resume_errored=True, param_space=space
    )
    try:
        tuner.get_results()
    except RuntimeError:
        return None
    return tuner


def _scheduler(config: TuneConfig) -> TrialScheduler:
    if config.reduction <= 1:
        return FIFOScheduler()
    return ASHAScheduler(
        time_attr="step",
        max_t=config.fit.steps + 1,  # one more, lest it kills a trial that is about to publish its model
        grace_period=min(config.fit.checkpoint_every, config.fit.steps),
        reduction_factor=config.reduction,
    )


def _train_trial(
    space: dict[str, Any], config: TuneConfig, name: str, trial: Callable[..., dict[str, Any]]
) -> None:
    point = space["trial"]["point"]
    fresh = config.fresh and not noted_run(config.storage, _run(name, point))  # and no second try
    with _begin(config, name, point) as child:
        found = trial(point, child.run_id)
        if fresh:
            forget(config.storage, found["launch"].name)
        metrics = train(**found, callbacks=[TuneReportCallback()])
    ray.tune.report(metrics)  # also where nothing was left to train


def _begin(config: TuneConfig, name: str, point: Point, **tags: str) -> Tracker:
    """Begins the MLflow run of a trial, or without a point of the sweep; the same command goes on with it."""
    return start_run(
        config,
        "sweeps",
        label(point) or f"sweep, {config.preset}",
        name=_run(name, point),
        dated=not point,
        tags={"sweep": name, **tags},
        params=point or None,
    )


def _run(name: str, point: Point) -> str:
    """Returns the name of a trial, or without a point of the sweep."""
    return f"{name}-{fingerprint(point)}" if point else name
