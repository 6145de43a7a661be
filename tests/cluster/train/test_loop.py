"""The loop of one worker, run in this process: what Ray Train does around it is a folder of checkpoints."""

import dataclasses
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray.train
import torch
from ray.train.v2._internal.execution import train_fn_utils
from stores import noise_store

from vsep_ray import checkpoint
from vsep_ray.batches.augment import AugmentConfig
from vsep_ray.cluster.train import loop
from vsep_ray.cluster.train.held_out import BOUND
from vsep_ray.cluster.train.priors import PriorTask
from vsep_ray.cluster.train.separator import SeparatorTask
from vsep_ray.cluster.train.task import Launch
from vsep_ray.config import UserError, members, short_name
from vsep_ray.objectives import SelfTrainingConfig
from vsep_ray.presets import TRAIN_SEPARATOR, ResourcesConfig
from vsep_ray.priors import FlowConfig
from vsep_ray.separators import SeparatorConfig, SpectrogramUNetConfig
from vsep_ray.tracking import Tracker
from vsep_ray.tracking.client import client
from vsep_ray.training import FitConfig, FitState

pytestmark = pytest.mark.ray
FIT = FitConfig(steps=4, batch_size=4, log_every=1, checkpoint_every=2)
FLOW = FlowConfig(squeeze=(16,), steps=1, width=8, layers=1)
SMALL = SpectrogramUNetConfig(n_fft=16, hop=8, width=4, levels=1, blocks=1)


class Kept(train_fn_utils.LocalTrainFnUtils):
    """Ray Train's local mode, which forgets a checkpoint, with a folder that keeps the last one."""

    def __init__(self, folder, streams, last=None):
        super().__init__("test", {name: spec.dataset(0) for name, spec in streams.items()})
        self.folder, self.last, self.steps = folder, last, []

    def report(self, metrics, checkpoint=None, **more):
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(checkpoint.path, self.folder)
        self.steps.append(metrics["step"])
        if metrics["step"] == self.last:
            raise RuntimeError("the power fails")

    def get_checkpoint(self):
        return ray.train.Checkpoint(self.folder) if self.folder.exists() else None


@pytest.fixture(scope="module")
def store(ray_session, tmp_path_factory):
    return noise_store(tmp_path_factory.mktemp("store"), length=128)


@pytest.fixture
def run(tmp_path, tracking_uri, monkeypatch):
    """Run a task as rank 0 of 1: the folder of its last checkpoint, and what was reported."""

    def started(task, name="run", last=None):
        utils = Kept(tmp_path / name, task.streams(), last)
        monkeypatch.setattr(train_fn_utils, "_train_fn_utils", utils)
        place = {"experiment": "test", "run_name": name, "spool": tmp_path / "spool"}
        tracker = Tracker.start(tracking_uri, **place)
        launch = Launch(
            name, str(tmp_path), tracking_uri, tracker.run_id, ResourcesConfig(), 1, name, {"by": "me"}
        )
        try:
            assert loop.work({"task": task, "launch": launch}) is None
        finally:
            tracker.finish()
        return tmp_path / name, utils.steps, tracker.run_id

    return started


def prior_task(store):
    return PriorTask(FIT, 0, store, "bass", FLOW, AugmentConfig(), (0.1, 1.0))


def separator_task(store, priors, **changes):
    separator = SeparatorConfig(backbone=SMALL, noise_std=0.1)
    config = dataclasses.replace(TRAIN_SEPARATOR["smoke"], fit=FIT, separator=separator, **changes)
    return SeparatorTask(FIT, 0, store, store, priors, config)


def test_a_prior_is_trained_validated_logged_and_kept(store, run, tracking_uri):
    folder, steps, run_id = run(prior_task(store))
    assert steps == [2, 4]
    provenance = checkpoint.read_provenance(folder)
    assert (provenance["step"], provenance["by"]) == (4, "me")
    assert provenance["validation"]["steps_per_second"] > 0
    api = client(tracking_uri)
    assert [m.step for m in api.get_metric_history(run_id, "train/loss")] == [1, 2, 3, 4]
    assert [m.step for m in api.get_metric_history(run_id, "valid/nats_per_sample/sigma_1")] == [2, 4]


def test_after_a_death_it_goes_on_to_the_same_weights(store, run):
    whole, _, _ = run(prior_task(store), "whole")
    with pytest.raises(RuntimeError, match="the power fails"):
        run(prior_task(store), "torn", last=2)
    torn, steps, _ = run(prior_task(store), "torn")
    assert steps == [4]
    expected = checkpoint.load_prior(whole).state_dict()
    for name, value in checkpoint.load_prior(torn).state_dict().items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=0)


@pytest.fixture
def priors(store, tmp_path):
    """Source -> checkpoint directory of an untrained prior."""
    directories = {source: Path(tmp_path, "priors", source) for source in store.sources}
    for directory in directories.values():
        checkpoint.save(directory, FLOW.build(8_000, 1), {})
    return {source: str(directory) for source, directory in directories.items()}


@pytest.mark.parametrize("regime", ["A", "B", "C"])
def test_a_separator_is_trained_under_each_regime(store, run, priors, regime):
    folder, steps, _ = run(separator_task(store, priors, regime=regime))
    assert steps == [2, 4] and checkpoint.load_separator(folder).sources == store.sources
    validation = checkpoint.read_provenance(folder)["validation"]
    assert "si_sdr_db" in validation and (BOUND in validation) == (regime == "A")


@pytest.mark.parametrize("other", [c() for c in members(SelfTrainingConfig) if c.reads_mixtures], ids=repr)
def test_every_self_training_learns_beside_sleep(store, run, priors, tracking_uri, other):
    task = separator_task(store, priors, self_training=other)
    _, steps, run_id = run(task)
    assert steps == [2, 4] and task.objective == f"Sleep and {short_name(type(other))}"
    logged = client(tracking_uri).get_run(run_id).data.metrics
    assert {"train/sleep/loss", "valid/si_sdr_db"} <= logged.keys()


def test_a_user_s_mistake_comes_back_as_words(store, tmp_path, monkeypatch):
    class Mistaken(PriorTask):
        def build(self):
            raise UserError("no such prior")

    task = Mistaken(**vars(prior_task(store)))
    monkeypatch.setattr(train_fn_utils, "_train_fn_utils", Kept(tmp_path / "x", task.streams()))
    launch = Launch("x", str(tmp_path), "", "", ResourcesConfig(), 1, "x")
    assert loop.work({"task": task, "launch": launch}) == "no such prior"
    divided = dataclasses.replace(launch, resources=ResourcesConfig(cache_mib=0))
    with pytest.raises(UserError, match="no such prior"):
        loop.work({"task": task, "launch": divided})


@pytest.mark.parametrize(("criterion", "chosen"), [("score", 1), ("cost", 0), ("", 0)])
def test_of_two_averages_the_one_that_scores_better_is_kept(criterion, chosen):
    """Where nothing compares them it is the first, and only that one is validated."""
    seen = []

    def validate(module, tracker, step):
        seen.append(float(module.weight.detach()))
        return {"score": seen[-1], "cost": -seen[-1]}

    config = FitConfig(ema=0.5, slow_ema=0.9)
    state = FitState.create(torch.nn.Linear(1, 1, bias=False), config)
    state.average["weight"].fill_(1.0), state.slow["weight"].fill_(2.0)
    task = SimpleNamespace(criterion=criterion, validate=validate)
    number, metrics = loop.Reporter(task, SimpleNamespace(name="x", group="x"), None, 0)._validated(
        state, None
    )
    assert number == chosen and metrics["score"] == chosen + 1
    assert seen == ([1.0, 2.0] if criterion else [1.0])
