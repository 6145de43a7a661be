"""A sweep over beta and flow depth: best.json, a tree of runs, nothing repeated."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from vsep_ray.cluster.runtime import main
from vsep_ray.cluster.train.held_out import BOUND
from vsep_ray.cluster.tune import job, proposals, report, space
from vsep_ray.config import UserError, to_dict
from vsep_ray.presets import TRAIN_SEPARATOR, TUNE, TrainPriorsConfig, TrainSeparatorConfig, TuneConfig
from vsep_ray.tracking import resolve_model
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
    figures = job.run(config)
    rows = figures["rows"]
    assert figures["trials"] == 4 and {r["status"] for r in rows} <= {"finished", "stopped"}
    assert [r["point"] for r in rows] == space.grid(config)
    check_best(figures, rows)
    check_runs(config, figures)
    check_registered(config, figures)
    before = {p: t for p, t in snapshot("runs").items() if "checkpoint" in p.name}
    assert job.run(config) == figures
    assert {p: t for p, t in snapshot("runs").items() if "checkpoint" in p.name} == before
    check_runs(config, figures)


def test_draws_follow_the_rows_and_come_again():
    """Optuna on a parabola: later waves lie nearer its top, and the same rows give the same points."""
    config = TuneConfig(
        betas=(0.01, 100.0), depths=(2, 4), draws=24, axes=("samples=1,4", "gradient=entropy,path")
    )

    def run(before=(), size=4, draws=24):
        rows, found = [], []
        for wave in proposals.waves(dataclasses.replace(config, draws=draws), rows, size, before):
            found.append(wave)
            for i, p in enumerate(wave):
                score = -abs(np.log10(p["beta"]) - 1) - (p["depth"] == 2)
                status = ("finished", "stopped", "failed")[i % 3]
                rows.append({"point": p, "si_sdr_improvement_db": score, "status": status, "step": 10})
        return found

    config = dataclasses.replace(config, separator=dataclasses.replace(config.separator, regime="B"))
    found = run()
    assert found == run() and [len(wave) for wave in found] == [4] * 6
    assert found == run(found[:3]), "a sweep that goes on draws what an undisturbed one draws"
    assert run(found[:2], size=5)[:2] == found[:2], "on another cluster, what was begun comes first"
    assert run(draws=8) == found[:2], "more draws go on with a sweep of fewer"
    flat = [p for wave in found for p in wave]
    assert {p["depth"] for p in flat} == {2, 4} and {type(p["samples"]) for p in flat} == {int}
    assert all(0.01 <= p["beta"] <= 100 and p["gradient"] in ("entropy", "path") for p in flat)
    far = [np.mean([abs(np.log10(p["beta"]) - 1) for p in part]) for part in (flat[:8], flat[-8:])]
    assert far[1] < 0.7 * far[0]


def test_no_point_is_drawn_twice():
    config = TuneConfig(betas=(1.0,), depths=(2, 4, 8), seeds=(0, 1), draws=20)
    rows, found = [], []
    for wave in proposals.waves(config, rows, 4):
        found += [space.label(p) for p in wave]
        rows += [{"point": p, space.metrics_of(config)[0]: 0.0, "status": "finished"} for p in wave]
    assert len(found) == len(set(found)) == 6


@pytest.mark.ray
@pytest.mark.slow
def test_a_sweep_of_draws(config, snapshot):
    drawn = dataclasses.replace(config, draws=5, reduction=1)
    figures = job.run(drawn)
    assert figures["trials"] == 5 and {r["status"] for r in figures["rows"]} == {"finished"}
    assert len({r["point"]["beta"] for r in figures["rows"]}) == 5
    before = {p: t for p, t in snapshot("runs").items() if "checkpoint" in p.name}
    assert job.run(drawn) == figures
    assert {p: t for p, t in snapshot("runs").items() if "checkpoint" in p.name} == before


def check_best(figures, rows):
    finished = [r for r in rows if r["status"] == "finished"]
    assert figures["selected_by"] == BOUND
    assert figures["best"][BOUND] == max(r[BOUND] for r in finished)
    best = json.loads(Path(figures["best"]["config"]).read_text())
    assert best["train_separator"]["beta"] == best["point"]["beta"]
    assert best["train_priors"]["prior"]["steps"] == best["point"]["depth"]
    check_export(figures["best"], best)


def check_export(figures, best):
    """The file is what the training jobs take by --config, and names no place of the sweep's."""
    for kind in (TrainPriorsConfig, TrainSeparatorConfig):
        (config,) = main._from_file(kind, figures["config"], []).values()
        assert isinstance(config, kind) and not (config.storage or config.parent_run or config.experiment)
        assert config.fit.seed == best["point"]["seed"]
    assert Path(config.priors, "sine").exists()  # the separator's: those that the trial had


def check_registered(config, figures):
    api = client(config.tracking_uri)
    version = api.get_model_version_by_alias("vsep-separator", report.ALIAS)
    assert version.run_id == figures["run_id"]
    directory = resolve_model("models:/vsep-separator@sweep", config.tracking_uri, config.storage + "/cache")
    content = Path(figures["best"]["model"], "model.safetensors").read_bytes()
    assert (directory / "model.safetensors").read_bytes() == content


def check_runs(config, figures):
    """Four trials hang below the sweep, ended as their rows say; the sweep has the figure and best.json."""
    api = client(config.tracking_uri)
    experiment = api.get_experiment_by_name("vsep/sweeps").experiment_id
    below = f"tags.`mlflow.parentRunId` = '{figures['run_id']}' and tags.sweep != ''"
    runs = {r.info.run_name: r.info.status for r in api.search_runs([experiment], below)}
    status = {"finished": "FINISHED", "stopped": "KILLED"}
    assert runs == {space.label(r["point"]): status[r["status"]] for r in figures["rows"]}
    assert {"best.json", "sweep.json", "sweep"} <= {f.path for f in api.list_artifacts(figures["run_id"])}


def test_a_trial_that_left_a_source_silent_is_no_candidate():
    assert report.status_of(None, True, 1e-5) == "silent"
    assert report.status_of(None, True, 0.1) == "finished"
    assert report.status_of(None, False, 1e-5) == "stopped"
    assert report.status_of(RuntimeError("x"), True, 0.1) == "failed"


def test_regimes_are_selected_by_what_they_may_look_at():
    assert space.metrics_of(TUNE["small-beta"])[0] == BOUND
    by_clips = dataclasses.replace(TUNE["small-beta"].separator, regime="B")
    by_clips = dataclasses.replace(TUNE["small-beta"], separator=by_clips)
    assert space.metrics_of(by_clips) == space.FIGURES


def test_the_grid_takes_any_field_and_refuses_others():
    axes = ("fit.learning_rate=0.001,0.0003", "gradient=entropy,path", "temperatures=[0.3]")
    found = space.grid(TuneConfig(betas=(1.0,), depths=(4, 8), axes=axes))
    assert len(found) == 8 and found[-1]["gradient"] == "path" and found[-1]["temperatures"] == [0.3]
    priors, separator = space.configs_of(TuneConfig(), found[-1])
    assert (priors.prior.steps, separator.fit.learning_rate, separator.gradient) == (8, 0.0003, "path")
    assert space.grid(TuneConfig(betas=(), depths=(), axes=("fit.steps=3",))) == [{"fit.steps": 3, "seed": 0}]
    for axis, words in [
        ("fit.rate=1", "no field 'rate'"),
        ("fit.steps=many", "got 'many'"),
        ("fit.steps", "path=value"),
        ("regime=A,B", "cannot be compared"),
    ]:
        with pytest.raises(UserError, match=words):
            space.grid(TuneConfig(axes=(axis,)))


def test_points_share_priors_unless_their_own_settings_differ():
    axes = ("priors.prior.width=16,32", "fit.learning_rate=0.001,0.0003")
    found = space.grid(TuneConfig(betas=(0.1, 1.0), depths=(4,), axes=axes, seeds=(0, 1)))
    assert len(found) == 16 and len({space.label(space.priors_of(p)) for p in found}) == 4
    priors, separator = space.configs_of(TuneConfig(), found[-1])
    assert (priors.prior.width, priors.fit.seed, separator.fit.seed) == (32, 1, 1)
    assert priors.fit.learning_rate == TuneConfig().priors.fit.learning_rate


def test_a_search_may_come_from_a_file(tmp_path):
    path = tmp_path / "search.json"
    path.write_text(json.dumps({"beta": [0.5], "depth": [], "priors.prior.width": [16, 32]}))
    found = space.grid(TuneConfig(search=str(path), seeds=(3,)))
    assert found == [{"beta": 0.5, "seed": 3, "priors.prior.width": w} for w in (16, 32)]
    for text in ("[1]", '{"beta": 1}', "beta", '{"regime": ["A"]}'):
        path.write_text(text)
        with pytest.raises(UserError, match=r"search\.json|compared"):
            space.grid(TuneConfig(search=str(path)))


def test_a_config_file_takes_the_place_of_a_preset(tmp_path):
    path = tmp_path / "best.json"
    path.write_text(json.dumps({"point": {}, "train_separator": to_dict(TRAIN_SEPARATOR["smoke"])}))
    assert main._from_file(TrainSeparatorConfig, str(path), []) == {"smoke": TRAIN_SEPARATOR["smoke"]}
    for kind, args, words in [
        (TrainPriorsConfig, [], "no TrainPriorsConfig"),
        (TrainSeparatorConfig, ["--preset", "toy"], "exclude each other"),
    ]:
        with pytest.raises(UserError, match=words):
            main._from_file(kind, str(path), args)
    with pytest.raises(UserError, match="cannot be read"):
        main._from_file(TrainPriorsConfig, str(tmp_path / "none.json"), [])
