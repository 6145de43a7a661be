"""A separator under each regime; the same command again trains nothing, a larger budget goes on."""

import dataclasses

import pytest
import torch

from vsep_ray import checkpoint
from vsep_ray.cluster.train import separator
from vsep_ray.cluster.train.launch import run_name
from vsep_ray.config import UserError
from vsep_ray.crops.reading import read_crops
from vsep_ray.crops.store import CropStore
from vsep_ray.datasets.track import MIXTURE
from vsep_ray.dreaming import DreamConfig
from vsep_ray.methods import RefineConfig
from vsep_ray.objectives import LogErrorConfig, NoneConfig, RemixConfig, WakeConfig
from vsep_ray.presets import TRAIN_SEPARATOR, ResourcesConfig
from vsep_ray.separators import SpectrogramUNetConfig
from vsep_ray.tracking import resolve_model
from vsep_ray.tracking.client import client

pytestmark = pytest.mark.ray


@pytest.fixture
def config(untrained_priors, priors_config, toy_storage):
    changes = {"priors": untrained_priors, "fit": priors_config.fit, "dreams": DreamConfig(16)}
    return dataclasses.replace(TRAIN_SEPARATOR["smoke"], **toy_storage, **changes)


@pytest.mark.parametrize("regime", ["A", "C"])
def test_a_regime_end_to_end(config, regime, tmp_path):
    """And regime B below."""
    check_training(separator.run(dataclasses.replace(config, regime=regime)), config, regime, tmp_path)


def check_training(figures, config, regime, folder):
    """Figures, provenance, the registered version, and the priors that count."""
    assert (figures["regime"], figures["steps"]) == (regime, 4)
    assert {"si_sdr_improvement_db", "si_sdr_improvement_mean_db", "si_sdr_db"} <= set(figures)
    model = resolve_model(figures["model_uri"], config.tracking_uri, folder)
    provenance = checkpoint.read_provenance(model)
    assert (provenance["regime"], provenance["run_id"]) == (regime, figures["run_id"])
    criterion = "valid/si_sdr_improvement_mean_db"
    history = client(config.tracking_uri).get_metric_history(figures["run_id"], criterion)
    best = max(history, key=lambda m: m.value).step if regime != "A" else history[-1].step
    assert (provenance["step"], provenance["trained_steps"]) == (best, 4) == (figures["best_step"], 4)
    assert provenance["dataset"] == "toy"  # such a model is no catalog's default
    alias = "yardstick" if regime == "C" else "champion"
    version = client(config.tracking_uri).get_model_version_by_alias("vsep-separator", alias)
    assert version.run_id == figures["run_id"]
    tags = client(config.tracking_uri).get_run(figures["run_id"]).data.tags
    sources = {name.removeprefix("prior_run.") for name in tags if name.startswith("prior_run.")}
    assert sources == ({"sine", "square"} if regime == "A" else set())


def test_the_same_command_again_trains_nothing_and_a_larger_budget_goes_on(config, snapshot, tmp_path):
    # a weight that no other test has: a run that is there already would not be trained
    config = dataclasses.replace(config, regime="B", point=LogErrorConfig(0.5))
    first = separator.run(config)
    check_training(first, config, "B", tmp_path)
    before = snapshot("runs")
    again = separator.run(config)
    assert (again["model"], again["steps"]) == (first["model"], 4)
    assert snapshot("runs") == before
    more = dataclasses.replace(config, fit=dataclasses.replace(config.fit, steps=8))
    figures = separator.run(more)
    assert (figures["model"], figures["steps"]) == (first["model"], 8)
    history = client(config.tracking_uri).get_metric_history(figures["run_id"], "train/loss")
    assert figures["run_id"] == first["run_id"] and [m.step for m in history] == [2, 4, 6, 8]


@pytest.mark.parametrize(
    ("regime", "other", "streams"),
    [
        ("A", NoneConfig(), {"sine": "dreams", "square": "dreams"}),
        ("A", WakeConfig(), {"sine": "dreams", "square": "dreams", MIXTURE: "toy"}),
        ("B", NoneConfig(), {"sine": "toy", "square": "toy"}),
        ("B", RemixConfig(), {"sine": "toy", "square": "toy", MIXTURE: "toy"}),
        ("C", NoneConfig(), {"*": "toy"}),
        ("C", WakeConfig(), {"*": "toy"}),  # of a preset: it is dropped
    ],
)
def test_a_regime_reads_what_it_may_and_no_more(config, regime, other, streams):
    config = dataclasses.replace(config, regime=regime, self_training=other)
    task = separator.task_of(config, CropStore.open(config.crops[0]))
    read = task.streams()
    assert {name: spec.store.dataset for name, spec in read.items()} == streams
    assert all(spec.split == "train" for spec in read.values())


def test_dreams_are_drawn_at_their_temperatures_once(config):
    def dreamed(*temperatures):
        asked = dataclasses.replace(config, regime="A", dreams=DreamConfig(16, temperatures=temperatures))
        return separator.task_of(asked, CropStore.open(config.crops[0])).clips

    cold, warm = dreamed(0.01), dreamed(1.0)
    spread = {c.uri: read_crops(c, "train", "sine").audio.std(0).mean() for c in (cold, warm)}
    assert spread[cold.uri] < 0.1 * spread[warm.uri]
    assert dreamed(0.01).uri == cold.uri and dreamed(0.01, 1.0).uri not in spread


def test_dreams_that_no_prior_takes_for_their_source_are_refused(config):
    """Hardly trained, one of the two priors denoises everything better than the other."""
    asked = dataclasses.replace(config, regime="A", dreams=DreamConfig(64, agreement=0.3))
    with pytest.raises(UserError, match=r"of 64 dreams of \w+ are taken for it by the priors"):
        separator.task_of(asked, CropStore.open(config.crops[0]))


@pytest.mark.slow
def test_self_training_end_to_end_on_two_workers(config):
    """A teacher in the checkpoint, priors on each worker, batches divided: what asks most of Ray."""
    resources = dataclasses.replace(config.resources, num_workers=2)
    other = RemixConfig(refinement=RefineConfig(steps=2))
    figures = separator.run(dataclasses.replace(config, resources=resources, self_training=other))
    assert figures["steps"] == 4
    assert checkpoint.read_provenance(figures["model"])["objective"] == "Sleep and remix"


@pytest.mark.slow
def test_a_run_starts_from_the_separator_that_it_is_given(config):
    """Without a step worth the name, the weights are those of the start; another shape is refused."""
    first = separator.run(config)
    still = dataclasses.replace(config.fit, learning_rate=1e-12)
    figures = separator.run(dataclasses.replace(config, start=first["model"], fit=still))
    assert figures["model"] != first["model"]
    weights = [dict(checkpoint.load(m["model"]).named_parameters()) for m in (first, figures)]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, atol=1e-6, rtol=0)
    wider = dataclasses.replace(config.separator, backbone=SpectrogramUNetConfig(width=16))
    with pytest.raises(UserError, match=r"--start .* has backbone"):
        separator.run(dataclasses.replace(config, start=first["model"], separator=wider))


def test_settings_that_an_objective_does_not_read_do_not_name_its_run(config):
    def named(**changes):
        task = separator.task_of(dataclasses.replace(config, **changes), CropStore.open(config.crops[0]))
        return run_name("x", task.config, *task.marks)

    assert named() == named(dreams=DreamConfig(99)) == named(storage="elsewhere", force=False)
    assert named(self_training=WakeConfig(beta=3.0)) == named(self_training=WakeConfig()) != named()
    noisy = dataclasses.replace(config.separator, noise_std=0.1)
    names = [named(separator=noisy, self_training=WakeConfig(beta=beta)) for beta in (1.0, 3.0)]
    assert names[0] != names[1]


def test_mistakes_come_before_training(config, tmp_path):
    for change, words in [
        ({"crops": (str(tmp_path),)}, "no finished crop store in"),
        ({"priors": "nowhere", "regime": "A"}, "neither a folder nor the run id"),
        ({"dreams": DreamConfig(priors="nowhere"), "regime": "A"}, "neither a folder nor the run id"),
        ({"resources": ResourcesConfig(num_workers=9)}, "--fit.batch-size 8 is too small for 9 workers"),
    ]:
        with pytest.raises(UserError, match=words):
            separator.run(dataclasses.replace(config, **change))
