"""One prior per source, side by side; the same command again trains nothing."""

import dataclasses
import itertools
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from vsep_ray import checkpoint
from vsep_ray.cluster.train import priors as train_priors
from vsep_ray.command_line import parse
from vsep_ray.config import UserError
from vsep_ray.presets import TRAIN_PRIORS, ResourcesConfig, TrainPriorsConfig
from vsep_ray.priors import FlowConfig, Prior
from vsep_ray.tracking import replay
from vsep_ray.tracking.client import client
from vsep_ray.training import FitConfig

pytestmark = pytest.mark.ray
SOURCES = {"sine", "square"}


def test_priors_are_trained_registered_and_not_trained_twice(priors_config, snapshot):
    """In one test: they are trained once, however many processes share the tests."""
    priors = train_priors.run(priors_config)
    check_figures(priors, priors_config)
    check_runs(priors, priors_config)
    before = snapshot("runs")
    again = train_priors.run(priors_config)
    assert {**again, "run_id": ""} == {**priors, "run_id": ""}
    assert snapshot("runs") == before


def check_figures(priors, config):
    """Figures and checkpoints."""
    assert set(priors["bits_per_sample"]) == SOURCES
    assert priors["steps"] == {"sine": 4, "square": 4}
    assert set(priors["discrimination"]["accuracy"]["sine"]) == {f"{s:g}" for s in config.noise_stds}
    assert json.loads(Path(priors["priors"], "discrimination.json").read_text())["run_id"] == priors["run_id"]
    for source in SOURCES:
        directory = Path(priors["priors"], source)
        assert isinstance(checkpoint.load(directory), Prior)
        provenance = checkpoint.read_provenance(directory)
        assert (provenance["source"], provenance["step"]) == (source, 4)


def check_runs(priors, config):
    """A tree of runs."""
    api = client(config.tracking_uri)
    experiment = api.get_experiment_by_name("vsep/priors").experiment_id
    below = f"tags.`mlflow.parentRunId` = '{priors['run_id']}'"
    runs = {r.data.tags["source"]: r for r in api.search_runs([experiment], below)}
    assert set(runs) == SOURCES
    run = runs["sine"]
    assert run.info.status == "FINISHED" and run.data.params["fit.steps"] == "4"
    assert [m.step for m in api.get_metric_history(run.info.run_id, "train/loss")] == [2, 4]
    assert [f.path for f in api.list_artifacts(run.info.run_id, "samples")] == [
        f"samples/step_{step}.{kind}" for step in (2, 4) for kind in ("png", "wav")
    ]
    last = {k.split("/")[1] for k in run.data.metrics if k.startswith("valid/")}
    assert {"nats_per_sample", "bits_per_sample", "above_noise", "probe_silence", "sample_fit_db"} <= last
    figures = {f.path for f in api.list_artifacts(priors["run_id"])}
    assert {"cross_likelihood.png", "noise_response.png"} <= figures
    assert api.get_model_version_by_alias("vsep-prior-sine", "champion").run_id == run.info.run_id


@pytest.mark.slow
def test_a_killed_worker_loses_at_most_the_steps_since_its_last_checkpoint(priors_config):
    fit = dataclasses.replace(priors_config.fit, steps=400, log_every=20, checkpoint_every=100)
    config = dataclasses.replace(priors_config, fit=fit, sources=("sine",))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(train_priors.run, config)
        runs = Path(config.storage, "runs")
        wait_for(lambda: any(registered(runs)))
        step_at_death = kill_worker()
        figures = running.result(timeout=300)
    assert step_at_death and figures["steps"] == {"sine": 400}
    api = client(config.tracking_uri)
    below = f"tags.`mlflow.parentRunId` = '{figures['run_id']}'"
    (run,) = api.search_runs([api.get_experiment_by_name("vsep/priors").experiment_id], below)
    steps = [m.step for m in api.get_metric_history(run.info.run_id, "train/loss")]
    again = [b for a, b in itertools.pairwise(steps) if b <= a]
    replay(Path(config.storage, "spool"), config.tracking_uri)  # as the next run on this storage does
    everything = {m.step for m in api.get_metric_history(run.info.run_id, "train/loss")}
    assert len(again) <= 1 and all(step % 100 == 20 for step in again), "goes on from the last checkpoint"
    assert max(steps) == 400
    assert sorted(everything) == list(range(20, 401, 20)), "the curve before the death is kept"


def registered(runs):
    """Checkpoints that Ray knows of, in the run of this test alone (it has 400 steps)."""
    for snapshot in runs.glob("*-sine/checkpoint_manager_snapshot.json"):
        yield from re.findall(r'"step":\s*100\b', snapshot.read_text())


def kill_worker():
    """SIGKILL to the one training worker of this process's cluster. Returns: its id."""
    mine = psutil.Process().children(recursive=True)
    (worker,) = [p for p in mine if "RayTrainWorker" in p.name() or "RayTrainWorker" in " ".join(p.cmdline())]
    worker.kill()
    return worker.pid


def wait_for(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


@pytest.mark.slow  # without Ray: tests/priors/test_flow.py
@pytest.mark.parametrize("name", FlowConfig.named())
def test_the_flows_of_the_literature_are_trained_by_their_names(priors_config, name):
    flags = f"--preset smoke --prior {name} --prior.steps 1 --prior.width 8 --prior.layers 1"
    chosen = parse(TrainPriorsConfig, flags.split(), TRAIN_PRIORS).prior
    assert chosen == dataclasses.replace(FlowConfig.named()[name], steps=1, width=8, layers=1)
    fit = dataclasses.replace(priors_config.fit, steps=2)
    figures = train_priors.run(dataclasses.replace(priors_config, prior=chosen, fit=fit, sources=("sine",)))
    assert figures["steps"] == {"sine": 2} and figures["kind"] == {"sine": "exact"}


def test_a_source_that_is_not_there_is_refused(priors_config):
    with pytest.raises(UserError, match=r"no source drums in .*; it has sine, square"):
        train_priors.run(dataclasses.replace(priors_config, sources=("drums",)))


@pytest.mark.slow
def test_workers_that_divide_stream_and_batch_unequally_end(priors_config):
    """Three have 3, 3 and 2 items of 8: at the end of a pass nobody may wait for rows that others took."""
    resources = ResourcesConfig(num_workers=3, cache_mib=0)
    fit = FitConfig(steps=60, batch_size=8, log_every=20, checkpoint_every=60)
    figures = train_priors.run(
        dataclasses.replace(priors_config, sources=("sine",), resources=resources, fit=fit)
    )
    assert figures["steps"] == {"sine": 60}
