"""Runs in MLflow: what they are called, what they say of themselves, and that the same command goes on."""

import json
import re
import sys
from datetime import date
from pathlib import Path

import pytest

from vsep_ray.cluster.runtime import talk
from vsep_ray.cluster.runtime.tracked_run import forget_run, noted_run, start_run
from vsep_ray.presets import TRAIN_SEPARATOR
from vsep_ray.tracking.client import client


@pytest.fixture
def config(tmp_path, tracking_uri):
    places = {"storage": str(tmp_path), "tracking_uri": tracking_uri}
    return TRAIN_SEPARATOR["smoke"].__class__(**{**vars(TRAIN_SEPARATOR["smoke"]), **places})


def started(config, **options):
    with start_run(config, "separator", "separator B, smoke", **options) as tracker:
        return tracker.run_id


def test_a_run_says_what_it_is(config, monkeypatch):
    api, run_id = client(config.tracking_uri), started(config, tags={"regime": "B"}, params={"steps": 3})
    found = api.get_run(run_id)
    assert found.info.run_name == f"separator B, smoke, {date.today():%Y-%m-%d}"
    tags = found.data.tags
    assert (tags["kind"], tags["regime"], tags["mlflow.source.name"]) == (
        "separator", "B", "jobs/train_separator.py"
    )  # fmt: skip
    assert re.fullmatch("[0-9a-f]{40}|unknown", tags["mlflow.source.git.commit"]) and tags["mlflow.user"]
    assert found.data.params == {"steps": "3"}
    given = json.loads(Path(api.download_artifacts(run_id, "config.json")).read_text())
    assert given["train_separator"]["fit"]["steps"] == config.fit.steps
    experiment = api.get_experiment(found.info.experiment_id)
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    monkeypatch.setattr(sys, "argv", ["jobs/train_separator.py", "--regime", "B"])
    lines = [("", "4.5 dB"), ("model", "/m"), ("next", "listen")]
    talk.describe(config, {"run_id": run_id, "crops": "/c", "model": "/m"}, lines)
    note = api.get_run(run_id).data.tags["mlflow.note.content"].split("\n\n")
    assert note[:2] == ["`python jobs/train_separator.py --regime B`", "4.5 dB"]
    assert [line.split() for line in note[2:]] == [["crops:", "/c"], ["model:", "/m"], ["next:", "listen"]]
    assert api.get_run(run_id).info.status == "FINISHED"


def test_the_run_of_a_name_goes_on_until_it_is_forgotten(config, caplog):
    first = started(config, name="separator-1234", params={"steps": 3})
    with caplog.at_level("INFO"):
        assert started(config, name="separator-1234", params={"steps": 5}) == first
    assert f"separator B, smoke goes on where the same command left it, as run {first}" in caplog.text
    assert "refuses" not in caplog.text, "MLflow lets no parameter change"
    assert started(config, name="separator-56") != first
    forget_run(config.storage, "separator-12")
    assert not noted_run(config.storage, "separator-1234") and noted_run(config.storage, "separator-56")
    assert started(config, name="separator-1234") != first
