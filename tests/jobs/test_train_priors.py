"""One prior per source, side by side; the same command again trains nothing."""

import dataclasses
import json
from pathlib import Path

import pytest

from vsep_ray import checkpoint
from vsep_ray.cluster import train_priors
from vsep_ray.config import UserError
from vsep_ray.priors import Prior
from vsep_ray.tracking.client import client

pytestmark = pytest.mark.ray
SOURCES = {"sine", "square"}


def test_figures_and_checkpoints(priors, priors_config):
    assert set(priors["bits_per_sample"]) == SOURCES
    assert priors["steps"] == {"sine": 4, "square": 4}
    assert set(priors["discrimination"]["accuracy"]["sine"]) == {f"{s:g}" for s in priors_config.noise_stds}
    assert json.loads(Path(priors["priors"], "discrimination.json").read_text())["run_id"] == priors["run_id"]
    for source in SOURCES:
        directory = Path(priors["priors"], source)
        assert isinstance(checkpoint.load(directory), Prior)
        provenance = checkpoint.read_provenance(directory)
        assert (provenance["source"], provenance["step"]) == (source, 4)


def test_a_tree_of_runs(priors, priors_config):
    api = client(priors_config.tracking_uri)
    experiment = api.get_experiment_by_name("vsep/priors").experiment_id
    below = f"tags.`mlflow.parentRunId` = '{priors['run_id']}'"
    runs = {r.data.tags["source"]: r for r in api.search_runs([experiment], below)}
    assert set(runs) == SOURCES
    run = runs["sine"]
    assert run.info.status == "FINISHED" and run.data.params["fit.steps"] == "4"
    assert [m.step for m in api.get_metric_history(run.info.run_id, "train/loss")] == [2, 4]
    assert [f.path for f in api.list_artifacts(run.info.run_id, "samples")] == [
        "samples/step_2.wav",
        "samples/step_4.wav",
    ]
    assert "cross_likelihood.png" in [f.path for f in api.list_artifacts(priors["run_id"])]
    assert api.get_model_version_by_alias("vsep-prior-sine", "champion").run_id == run.info.run_id


def test_the_same_command_again_trains_nothing(priors, priors_config, snapshot):
    before = snapshot("runs")
    again = train_priors.run(priors_config)
    assert {k: v for k, v in again.items() if k != "run_id"} == {
        k: v for k, v in priors.items() if k != "run_id"
    }
    assert snapshot("runs") == before


def test_a_source_that_is_not_there_is_refused(priors_config):
    with pytest.raises(UserError, match=r"no source drums in .*; it has sine, square"):
        train_priors.run(dataclasses.replace(priors_config, sources=("drums",)))
