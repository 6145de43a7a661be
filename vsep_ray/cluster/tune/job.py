"""tune: a grid over beta, flow depth, seed and any dotted config path; ASHA stops what falls behind; the
same command resumes."""

import contextlib
import dataclasses
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import ray
import ray.tune
from ray.tune.integration.ray_train import TuneReportCallback
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from vsep_ray import storage
from vsep_ray.cluster.inputs import crop_store
from vsep_ray.cluster.runtime import capacity
from vsep_ray.cluster.runtime.tracked_run import start_run
from vsep_ray.cluster.train import priors as train_priors
from vsep_ray.cluster.train.held_out import BOUND
from vsep_ray.cluster.train.launch import forget, run_name, train
from vsep_ray.cluster.train.separator import models_of, task_of
from vsep_ray.cluster.train.task import Launch
from vsep_ray.cluster.tune.proposals import waves
from vsep_ray.cluster.tune.report import export, finish, record, rows_of
from vsep_ray.cluster.tune.space import Point, axes_of, configs_of, grid, label, metrics_of, priors_of
from vsep_ray.config import UserError, fingerprint
from vsep_ray.crops.store import CropStore
from vsep_ray.datasets.track import MIXTURE
from vsep_ray.evaluation.sweeps import choose, dependence
from vsep_ray.presets import TuneConfig
from vsep_ray.tracking import Tracker

SMALLEST_WAVE = 4
"""Trials that are drawn together at least, lest none falls behind."""


def run(config: TuneConfig) -> dict[str, Any]:
    """Train the priors once for all trials that share them, then the trials; the figures of the JSON line."""
    store = crop_store(config)
    grid(config)  # refuses axes that are no fields, before anything is trained
    _check_mixtures(config, store)
    # Tune restores trials as they were: with another budget it is another sweep, whose trials go on
    inputs = (store.mark, config.fit.steps, config.priors.fit.steps, axes_of(config))
    what = dataclasses.replace(config, draws=min(1, config.draws))  # more draws go on with a sweep of fewer
    name = run_name("tune", what, *inputs, models_of(config.separator, store))
    known: dict[str, str] = _recall(config, name, "runs.json") or {}
    before: list[list[Point]] = _recall(config, name, "waves.json") or []
    with contextlib.ExitStack() as runs:  # whatever ends the sweep ends the runs of its trials
        parent = runs.enter_context(_parent(config, name, known, store))
        known[""] = parent.run_id
        experiment = config.experiment or "vsep/sweeps"
        below = dataclasses.replace(config, parent_run=parent.run_id, experiment=experiment)
        by_priors = {label(priors_of(p)): p for p in grid(config)}
        priors = {key: _priors(below, store, p) for key, p in by_priors.items()}
        sweep = _Sweep(below, store, name, known, priors, runs, before)
        size = max(SMALLEST_WAVE, capacity.workers(config.resources, SMALLEST_WAVE))
        for points in waves(config, sweep.rows, size, before):
            sweep.try_out(points)
        # where trials are stopped early, or drawn, the survivors say nothing of the axes
        survivors = config.reduction > 1 or config.draws
        table = [] if survivors else dependence(sweep.rows, metrics_of(config))
        record(config, sweep.rows, table, parent)
        chosen = choose(sweep.rows, metrics_of(config)[0])
        model, shared = sweep.targets[label(chosen["point"])], priors[label(priors_of(chosen["point"]))]
        best = export(below, store, chosen, model, shared, name, parent)
    return {"run_id": parent.run_id, **_figures(config, sweep.rows, table), "best": best}


@dataclasses.dataclass
class _Sweep:
    """The trials of a sweep, wave by wave.

    Attributes:
        config: with the run and the experiment that trials are shown below.
        store: the crops.
        name: of the sweep.
        known: label of the point ("": the sweep) -> MLflow run.
        priors: label of `priors_of` a point -> folder.
        runs: ends the runs of trials, however the sweep ends.
        before: the waves of points that the same command recorded before.
        waves: those so far.
        rows: a row per trial so far.
        targets: label of the point -> folder of its model.
    """

    config: TuneConfig
    store: CropStore
    name: str
    known: dict[str, str]
    priors: Mapping[str, str]
    runs: contextlib.ExitStack
    before: Sequence[Sequence[Point]]
    waves: list[Sequence[Point]] = dataclasses.field(default_factory=list)
    rows: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    targets: dict[str, str] = dataclasses.field(default_factory=dict)

    def try_out(self, points: Sequence[Point]) -> None:
        """Train the points side by side and add their rows."""
        config = self.config
        children = {label(p): self.runs.enter_context(self._child(p)) for p in points}
        self.known |= {key: child.run_id for key, child in children.items()}
        self.waves.append(points)
        _remember(config, self.name, "runs.json", self.known)
        # where now are fewer draws than before, what was begun then is kept
        pairs: Any = itertools.zip_longest(self.waves, self.before, fillvalue=[])
        _remember(config, self.name, "waves.json", [b if b[: len(w)] == w else w for w, b in pairs])
        trials = [_trial(config, self.store, self.priors, p, self.known[label(p)]) for p in points]
        _check_different(trials)
        self.targets |= {label(p): t["target"] for p, t in zip(points, trials, strict=True)}
        # named by its points: Tune restores what it finds under a name
        rows = rows_of(_tune(config, f"{self.name}-{fingerprint(points)}", trials), points, config)
        for row in rows:
            finish(children[label(row["point"])], row, metrics_of(config))
        self.rows += rows

    def _child(self, point: Point) -> Tracker:
        run_id, tags = self.known.get(label(point), ""), {"sweep": self.name}
        return start_run(self.config, "sweeps", label(point), run_id=run_id, tags=tags, params=point)


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
    """What `run` would do."""
    points = grid(config)
    what = {"draws_from": axes_of(config)} if config.draws else {"points": points}
    return {"trials": config.draws or len(points), "selected_by": metrics_of(config)[0], **what}


def _priors(config: TuneConfig, store: CropStore, point: Point) -> str:
    priors, _ = configs_of(config, point)
    priors = dataclasses.replace(priors, crops=store.uri, resources=config.resources)
    figures = train_priors.run(priors, "sweeps/priors")  # not among the models that jobs find by default
    return figures["priors"]


def _trial(
    config: TuneConfig, store: CropStore, priors: Mapping[Any, str], point: Point, run_id: str
) -> dict[str, Any]:
    _, separator = configs_of(config, point)
    separator = dataclasses.replace(separator, crops=store.uri, priors=priors[label(priors_of(point))])
    task = task_of(separator, store)
    name = run_name("trial", task.config, *task.marks)
    if config.fresh:
        forget(config.storage, name)
    launch = Launch.of(
        dataclasses.replace(separator, resources=config.resources), name, run_id, 1,
        regime=separator.regime, crops=store.mark, point=point,
    )  # fmt: skip
    return {"task": task, "launch": launch, "target": storage.join(config.storage, "sweeps", "trials", name)}


def _check_mixtures(config: TuneConfig, store: CropStore) -> None:
    """Refuse a sweep whose trials could not be compared.

    Raises:
        UserError: regime A on a store without mixtures.
    """
    if BOUND in metrics_of(config) and MIXTURE not in store.statistics:
        raise UserError(
            f"regime A is selected by the bound of mixtures, and {store.uri} has none; "
            "prepare crops of a data set with mixtures, or set --separator.regime B"
        )


def _check_different(trials: Sequence[Mapping[str, Any]]) -> None:
    """Refuse two points that train the same: they would write to the same place.

    Raises:
        UserError: an axis decides nothing.
    """
    if len({t["launch"].name for t in trials}) < len(trials):
        raise UserError("two points of the sweep train the same: an axis decides nothing in this config")


def _tune(config: TuneConfig, name: str, trials: list[dict[str, Any]]) -> ray.tune.ResultGrid:
    root = storage.join(config.storage, "runs")
    path = storage.join(root, name)
    trainable = ray.tune.with_parameters(_train_trial, trials=trials)
    # the training workers hold the real ones
    trainable = ray.tune.with_resources(trainable, {"cpu": capacity.TRIAL_CPUS})
    if config.fresh:
        forget(config.storage, name)
    space = {"trial": ray.tune.grid_search(list(range(len(trials))))}
    if ray.tune.Tuner.can_restore(path):
        return ray.tune.Tuner.restore(
            path, trainable=trainable, resume_unfinished=True, resume_errored=True, param_space=space
        ).fit()
    return ray.tune.Tuner(
        trainable,
        param_space=space,
        tune_config=ray.tune.TuneConfig(
            metric=metrics_of(config)[0],
            mode="max",
            scheduler=_scheduler(config),
            max_concurrent_trials=capacity.workers(config.resources, len(trials)),
        ),
        run_config=ray.tune.RunConfig(
            name=name,
            storage_path=root,
            verbose=0,
            # trials too may lie on a node that is lost; each goes on from its own checkpoint
            failure_config=ray.tune.FailureConfig(config.resources.max_failures),
        ),
    ).fit()


def _scheduler(config: TuneConfig) -> TrialScheduler:
    if config.reduction <= 1:
        return FIFOScheduler()
    return ASHAScheduler(
        time_attr="step",
        max_t=config.fit.steps + 1,  # one more, lest it kills a trial that is about to publish its model
        grace_period=min(config.fit.checkpoint_every, config.fit.steps),
        reduction_factor=config.reduction,
    )


def _train_trial(space: dict[str, Any], trials: Sequence[Mapping[str, Any]]) -> None:
    metrics = train(**trials[space["trial"]], callbacks=[TuneReportCallback()])
    ray.tune.report(metrics)  # also where nothing was left to train


def _parent(config: TuneConfig, name: str, known: Mapping[str, str], store: CropStore) -> Tracker:
    return start_run(config, "sweeps", name, run_id=known.get("", ""), tags={"crops": store.mark})


def _recall(config: TuneConfig, name: str, what: str) -> Any:
    """What the same command remembered before: ``runs.json``, label of the point ("": the sweep) -> MLflow
    run, or ``waves.json``, the points that were tried side by side."""
    uri = storage.join(config.storage, "sweeps", name, what)
    return json.loads(storage.read_bytes(uri)) if storage.exists(uri) and not config.fresh else None


def _remember(config: TuneConfig, name: str, what: str, content: Any) -> None:
    storage.write_bytes(
        storage.join(config.storage, "sweeps", name, what), json.dumps(content, indent=1).encode()
    )
