"""A sweep under Ray Tune whose trials find their models trained: what a kill leaves, goes on."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from vsep_ray.cluster.train.held_out import BOUND
from vsep_ray.cluster.train.task import Launch
from vsep_ray.cluster.tune import job, report, space
from vsep_ray.presets import TUNE, TuneConfig
from vsep_ray.tracking.client import client

NAME = "tune-test"


def test_of_drawn_points_few_are_made_before():
    """Enough to see that each axis decides something, and for each set of priors one."""
    config = TuneConfig(
        betas=(0.1, 1.0, 10.0), depths=(2, 4), seeds=(0, 1), axes=("self_training.samples=1,2,3",)
    )
    points = space.grid(config)
    assert job._made_before(config, points) == points
    made = job._made_before(dataclasses.replace(config, draws=9), points)
    assert len(made) == 1 + 2 + 2 + 3
    assert {space.label(space.priors_of(p)) for p in made} == {
        space.label(space.priors_of(p)) for p in points
    }


@pytest.fixture
def config(ray_session, tmp_path, tracking_uri):
    axes = ("self_training.temperatures=[0.3],[1]",)
    return dataclasses.replace(
        TUNE["smoke"], storage=str(tmp_path), tracking_uri=tracking_uri, depths=(), axes=axes, reduction=1
    )


@pytest.fixture
def trial(config):
    """A function of a point and a run: a training that is done, whose bound is minus beta. Each call leaves
    its point in the file ``calls``."""
    folder, steps, metrics = config.storage, config.fit.steps, space.metrics_of(config)

    def made(point, run_id=""):
        name = f"trial-{point['beta']}-{point['self_training.temperatures']}"
        with Path(folder, "calls").open("a") as file:
            file.write(f"{name}\n")
        for place in ("runs", "models"):
            Path(folder, place, name).mkdir(parents=True, exist_ok=True)
        record = {"step": steps, "validation": dict.fromkeys(metrics, -point["beta"])}
        Path(folder, "models", name, "provenance.json").write_text(json.dumps(record))
        launch = Launch(name, folder, "", run_id, None, 1, name)
        return {
            "task": SimpleNamespace(fit=SimpleNamespace(steps=steps)),
            "launch": launch,
            "target": f"{folder}/models/{name}",
        }

    return made


def sweep(config, trial):
    """The rows."""
    return report.rows_of(job._tuner(config, NAME, trial).fit(), config)


def calls(config):
    return Path(config.storage, "calls").read_text().split()


def states(config):
    """The files in which Tune keeps the list of trials."""
    return list(Path(config.storage, "runs", NAME).glob("experiment_state*"))


def runs(config):
    """Name and status of all runs in MLflow."""
    api = client(config.tracking_uri)
    (experiment,) = api.search_experiments(filter_string="name = 'vsep/sweeps'")
    found = api.search_runs([experiment.experiment_id])
    return sorted((r.info.run_name, r.info.status) for r in found)


def finished(rows):
    return sorted((space.label(r["point"]), "FINISHED") for r in rows)


@pytest.mark.ray
def test_a_grid_has_a_run_per_point_and_none_twice(config, trial):
    rows = sweep(config, trial)
    assert [r["point"] for r in rows] == space.grid(config) and len(rows) == 4
    assert [r[BOUND] for r in rows] == [-r["point"]["beta"] for r in rows]
    assert {r["status"] for r in rows} == {"finished"}
    assert sweep(config, trial) == rows and len(calls(config)) == 4
    assert runs(config) == finished(rows)


@pytest.mark.ray
@pytest.mark.slow
def test_draws_that_a_kill_left_torn_come_again(config, trial):
    """Tune's list of trials whole, torn, and gone: the same points, each in its run of before."""
    config = dataclasses.replace(config, draws=3)
    rows = sweep(config, trial)
    assert len(rows) == len({space.label(r["point"]) for r in rows}) == 3
    assert sweep(config, trial) == rows and len(calls(config)) == 3
    for path in states(config):
        path.write_text(path.read_text()[:-10])
    assert sweep(config, trial) == rows
    for path in states(config):
        path.unlink()
    assert sweep(config, trial) == rows
    assert len(calls(config)) == 9 and len(set(calls(config))) == 3
    assert runs(config) == finished(rows)
