"""One storage for the training jobs: toy crops of two sources, an MLflow store, priors trained or not."""

import dataclasses
import functools
import json
import runpy
import shutil
import sys
from pathlib import Path

import contracts
import pytest
import torch

from vsep_ray import checkpoint
from vsep_ray.cluster import prepare_crops
from vsep_ray.crops import writing
from vsep_ray.crops.store import CropStore
from vsep_ray.datasets.toy import ToyConfig
from vsep_ray.presets import PREPARE_CROPS, TRAIN_PRIORS
from vsep_ray.training import FitConfig

FIT = FitConfig(steps=4, batch_size=8, log_every=2, checkpoint_every=2)
TOY = ToyConfig(shapes=("sine", "square"), lowest_hz=220, highest_hz=880, train_tracks=64, valid_tracks=8)


@pytest.fixture(scope="session")
def toy_storage(ray_session, empty_database, tmp_path_factory):
    """Storage and tracking URI as fields of a config, and its crop store."""
    folder = tmp_path_factory.mktemp("jobs")
    shutil.copy(empty_database, folder / "mlflow.db")
    place = {"storage": str(folder), "tracking_uri": f"sqlite:///{folder}/mlflow.db"}
    config = dataclasses.replace(PREPARE_CROPS["smoke"], **place, dataset=TOY)
    layout, units = prepare_crops._layout(config)  # without Ray Data, which tests/cluster tries
    writing.begin(layout, fresh=False)
    open_track = functools.partial(TOY.open, crop=config.crop)
    store = writing.finish(layout, [writing.write_unit(layout, unit, open_track) for unit in units], "")
    return {**place, "crops": (store.uri,)}


@pytest.fixture(scope="session")
def priors_config(toy_storage):
    return dataclasses.replace(TRAIN_PRIORS["smoke"], **toy_storage, fit=FIT)


@pytest.fixture(scope="session")
def untrained_priors(toy_storage, priors_config):
    """A folder of priors as train_priors leaves one, which took no training."""
    folder, store = Path(toy_storage["storage"], "untrained"), CropStore.open(toy_storage["crops"][0])
    torch.manual_seed(0)
    for source in TOY.shapes:
        prior = priors_config.prior.build(store.sample_rate, store.channels)
        if source == "sine":  # the worse of the two
            contracts.jiggle(prior)
        checkpoint.save(folder / source, prior, {"source": source, "run_id": f"of {source}"})
    words = {"run_id": "of both", "discrimination": {"failed_gate": []}}
    (folder / "discrimination.json").write_text(json.dumps(words))
    return str(folder)


@pytest.fixture
def snapshot(toy_storage):
    """A function of a folder of the storage: its files, and when they were written."""

    def take(name):
        folder = Path(toy_storage["storage"], name)
        return {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}

    return take


@pytest.fixture
def start_here(tmp_path, monkeypatch, capsys):
    """Runs a job that needs no Ray in this process, which saves the imports: exit code, JSON line, standard
    output and error."""

    def call(job, *args):
        monkeypatch.setattr(sys, "argv", [str(job), "--storage", str(tmp_path / "storage"), *args])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(job), run_name="__main__")
        out, err = capsys.readouterr()
        return end.value.code, json.loads(out.splitlines()[-1]), out, err

    return call
