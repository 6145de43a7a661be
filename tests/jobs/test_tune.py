"""A sweep over beta and flow depth: best.json, a tree of runs, nothing repeated."""

import dataclasses
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from vsep_ray.cluster.runtime import main
from vsep_ray.cluster.train.held_out import BOUND
from vsep_ray.cluster.tune import job, space
from vsep_ray.config import UserError, to_dict
from vsep_ray.presets import TRAIN_SEPARATOR, TUNE, TrainPriorsConfig, TrainSeparatorConfig
from vsep_ray.tracking import resolve_model
from vsep_ray.tracking.client import client

JOB = Path(__file__).parents[2] / "jobs" / "tune.py"


@pytest.fixture
def config(toy_storage, priors_config):
    base = TUNE["smoke"]
    fitted = {
        n: dataclasses.replace(getattr(base, n), fit=priors_config.fit) for n in ("priors", "separator")
    }
    return dataclasses.replace(base, **toy_storage, **fitted)


@pytest.mark.slow
@pytest.mark.ray
def test_a_grid_is_searched_once(config, snapshot):
    """Two trials of one depth, which share their priors; tests/cluster/tune has more, without trainings."""
    config = dataclasses.replace(config, depths=(2,))
    figures = job.run(config)
    rows = figures["rows"]
    assert figures["trials"] == 2 and {r["status"] for r in rows} <= {"finished", "stopped"}
    assert [r["point"] for r in rows] == space.grid(config)
    check_best(figures, rows)
    check_runs(config, figures)
    check_registered(config, figures)
    before = {p: t for p, t in snapshot("runs").items() if "checkpoint" in p.name}
    assert job.run(config) == figures
    assert {p: t for p, t in snapshot("runs").items() if "checkpoint" in p.name} == before
    check_runs(config, figures)


@pytest.fixture
def command(config, tmp_path, monkeypatch):
    """A sweep of three draws as a job of its own."""
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")  # sockets need short paths
    fit = dataclasses.replace(config.separator.fit, steps=12)
    separator = dataclasses.replace(config.separator, fit=fit)
    drawn = dataclasses.replace(config, draws=3, depths=(1,), reduction=1, separator=separator)
    (tmp_path / "tune.json").write_text(json.dumps(to_dict(drawn)))
    return [sys.executable, str(JOB), "--config", str(tmp_path / "tune.json")]


def kill_amid(command, trials):
    """SIGKILL to the driver as soon as one of its trials has left its model; the names of those that have."""
    known = set(trials.glob("*/provenance.json"))
    job = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (ended := set(trials.glob("*/provenance.json")) - known):
        assert job.poll() is None, "the job ended before any trial"
        time.sleep(0.1)
    family = psutil.Process(job.pid).children(recursive=True)
    job.send_signal(signal.SIGKILL)
    job.wait()
    psutil.wait_procs(family, timeout=60)
    return {path.parent.name for path in ended}


def figures_of(command):
    """The JSON line of a job that ends well."""
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.ray
@pytest.mark.slow
def test_a_killed_sweep_of_draws_goes_on(config, command, snapshot):
    """The same command repeats no finished trial and ends with a run per point; once more, with the same."""
    ended = kill_amid(command, Path(config.storage, "sweeps", "trials"))

    def files(names):
        found = snapshot("runs") | snapshot("sweeps/trials")
        return {p: t for p, t in found.items() if names & {*p.parts}}

    before = files(ended)
    figures, again = figures_of(command), figures_of(command)
    assert 0 < len(ended) < 3 and before and files(ended) == before
    assert figures == again
    assert len({space.label(r["point"]) for r in figures["rows"]}) == figures["trials"] == 3
    assert {r["status"] for r in figures["rows"]} == {"finished"}
    check_runs(config, figures)


def check_best(figures, rows):
    finished = [r for r in rows if r["status"] == "finished"]
    assert figures["selected_by"] == BOUND
    assert figures["best"][BOUND] == max(r[BOUND] for r in finished)
    best = json.loads(Path(figures["best"]["config"]).read_text())
    assert best["train_separator"]["self_training"]["beta"] == best["point"]["beta"]
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
    version = api.get_model_version_by_alias("vsep-separator", "sweep")
    assert version.run_id == figures["run_id"]
    directory = resolve_model("models:/vsep-separator@sweep", config.tracking_uri, config.storage + "/cache")
    content = Path(figures["best"]["model"], "model.safetensors").read_bytes()
    assert (directory / "model.safetensors").read_bytes() == content


def check_runs(config, figures):
    """The trials hang below the sweep, ended as their rows say; the sweep has its rows and best.json."""
    api = client(config.tracking_uri)
    experiment = api.get_experiment_by_name("vsep/sweeps").experiment_id
    below = f"tags.`mlflow.parentRunId` = '{figures['run_id']}' and tags.sweep != ''"
    runs = {r.info.run_name: r.info.status for r in api.search_runs([experiment], below)}
    status = {"finished": "FINISHED", "stopped": "KILLED"}
    assert runs == {space.label(r["point"]): status[r["status"]] for r in figures["rows"]}
    assert {"best.json", "sweep.json"} <= {f.path for f in api.list_artifacts(figures["run_id"])}


def test_a_config_file_takes_the_place_of_a_preset(tmp_path):
    path = tmp_path / "best.json"
    path.write_text(json.dumps({"point": {}, "train_separator": to_dict(TRAIN_SEPARATOR["smoke"])}))
    assert main._from_file(TrainSeparatorConfig, str(path), []) == {"smoke": TRAIN_SEPARATOR["smoke"]}
    for kind, args, words in [
        (TrainPriorsConfig, [], r"no settings of this job in it \(TrainPriorsConfig\)"),
        (TrainSeparatorConfig, ["--preset", "toy"], "exclude each other"),
    ]:
        with pytest.raises(UserError, match=words):
            main._from_file(kind, str(path), args)
    with pytest.raises(UserError, match="there is no such file"):
        main._from_file(TrainPriorsConfig, str(tmp_path / "none.json"), [])
