"""A sweep over beta and flow depth: best.json, a tree of runs, nothing repeated."""

import dataclasses
import json
from pathlib import Path

import pytest

from vsep_ray.cluster import points, tune
from vsep_ray.cluster.held_out import BOUND
from vsep_ray.config import UserError
from vsep_ray.presets import TUNE, TuneConfig
from vsep_ray.tracking.client import client


@pytest.fixture
def config(toy_storage, priors_config):
    base = TUNE["smoke"]
    fitted = {
        n: dataclasses.replace(getattr(base, n), fit=priors_config.fit) for n in ("priors", "separator")
    }
    return dataclasses.replace(base, **toy_storage, **fitted)


@pytest.mark.ray
def test_a_grid_is_searched_once(config, snapshot):
    figures = tune.run(config)
    rows = figures["rows"]
    assert figures["trials"] == 4 and {r["status"] for r in rows} <= {"finished", "stopped"}
    assert [r["point"] for r in rows] == points.grid(config)
    check_best(figures, rows)
    check_runs(config, figures)
    before = {p: t for p, t in snapshot("runs").items() if "checkpoint" in p.name}
    assert tune.run(config) == figures
    assert {p: t for p, t in snapshot("runs").items() if "checkpoint" in p.name} == before
    check_runs(config, figures)


def check_best(figures, rows):
    finished = [r for r in rows if r["status"] == "finished"]
    assert figures["selected_by"] == BOUND
    assert figures["best"][BOUND] == max(r[BOUND] for r in finished)
    best = json.loads(Path(figures["best"]["config"]).read_text())
    assert best["train_separator"]["beta"] == best["point"]["beta"]
    assert best["train_priors"]["prior"]["steps"] == best["point"]["depth"]


def check_runs(config, figures):
    """Four trials hang below the sweep, ended as their rows say; the sweep has the figure and best.json."""
    api = client(config.tracking_uri)
    experiment = api.get_experiment_by_name("vsep/sweeps").experiment_id
    below = f"tags.`mlflow.parentRunId` = '{figures['run_id']}' and tags.sweep != ''"
    runs = {r.info.run_name: r.info.status for r in api.search_runs([experiment], below)}
    status = {"finished": "FINISHED", "stopped": "KILLED"}
    assert runs == {points.label(r["point"]): status[r["status"]] for r in figures["rows"]}
    assert {"best.json", "sweep.json", "sweep"} <= {f.path for f in api.list_artifacts(figures["run_id"])}


def test_a_trial_that_left_a_source_silent_is_no_candidate():
    assert tune._status(None, True, 1e-5) == "silent"
    assert tune._status(None, True, 0.1) == "finished"
    assert tune._status(None, False, 1e-5) == "stopped"
    assert tune._status(RuntimeError("x"), True, 0.1) == "failed"


def test_regimes_are_selected_by_what_they_may_look_at():
    assert points.metrics_of(TUNE["small-beta"])[0] == BOUND
    by_clips = dataclasses.replace(TUNE["small-beta"].separator, regime="B")
    by_clips = dataclasses.replace(TUNE["small-beta"], separator=by_clips)
    assert points.metrics_of(by_clips) == points.FIGURES


def test_the_grid_takes_any_field_and_refuses_others():
    axes = ("fit.learning_rate=0.001,0.0003", "gradient=entropy,path", "temperatures=[0.3]")
    found = points.grid(TuneConfig(betas=(1.0,), depths=(4, 8), axes=axes))
    assert len(found) == 8 and found[-1]["gradient"] == "path" and found[-1]["temperatures"] == [0.3]
    priors, separator = points.configs_of(TuneConfig(), found[-1])
    assert (priors.prior.steps, separator.fit.learning_rate, separator.gradient) == (8, 0.0003, "path")
    for axis, words in [
        ("fit.rate=1", "no field 'rate'"),
        ("fit.steps=many", "got 'many'"),
        ("fit.steps", "path=value"),
        ("regime=A,B", "cannot be compared"),
    ]:
        with pytest.raises(UserError, match=words):
            points.grid(TuneConfig(axes=(axis,)))
