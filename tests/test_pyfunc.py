"""Registered models in a process that knows MLflow alone, against the package's own way."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from vsep_ray import checkpoint
from vsep_ray.audio import io
from vsep_ray.cluster.separate.settings import Assignment, WorkerSettings
from vsep_ray.cluster.separate.worker import Worker
from vsep_ray.presets import TRAIN_PRIORS, TRAIN_SEPARATOR, SeparateCatalogConfig
from vsep_ray.pyfunc import SeparatorModel
from vsep_ray.separators import Separator
from vsep_ray.tracking import Tracker

CODE = """
import json
import sys
import mlflow
import numpy as np
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
name, value = sys.argv[5:]
np.save(sys.argv[4], model.predict(np.load(sys.argv[3]), params={name: json.loads(value)}))
"""


def registered(module, name, tracking_uri, folder):
    checkpoint.save(folder / "model", module, {})
    with Tracker.start(tracking_uri, experiment="test", run_name="model", spool=folder / "spool") as tracker:
        assert tracker.register(folder / "model", name, "champion") == f"models:/{name}/1"
    return f"models:/{name}@champion"


def predicted(uri, tracking_uri, folder, array, name, value):
    """What a clean process that knows MLflow alone computes."""
    np.save(folder / "in.npy", array)
    words = [tracking_uri, uri, folder / "in.npy", folder / "out.npy", name, value]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # as here: more round otherwise
    command = [sys.executable, "-c", CODE, *map(str, words)]
    subprocess.run(command, check=True, capture_output=True, env=one_thread)
    return np.load(folder / "out.npy")


@pytest.fixture
def separator():
    torch.manual_seed(0)
    config = TRAIN_SEPARATOR["smoke"].separator
    named = {"sources": ("bass", "other"), "sample_rate": 8_000, "channels": 1, "scales": (0.1, 0.1)}
    return Separator(type(config)(**{**vars(config), **named}))


def test_a_separator_does_what_bulk_separation_does(separator, tracking_uri, tmp_path):
    mixture = 0.2 * np.random.default_rng(0).standard_normal((2, 44_100 * 7)).astype(np.float32)
    uri = registered(separator, "vsep-separator", tracking_uri, tmp_path)
    stems = predicted(uri, tracking_uri, tmp_path, mixture, "sample_rate", 44_100)
    io.write(tmp_path / "song.wav", mixture, 44_100, format="wav", subtype="float")
    folders = {"directory": str(tmp_path / "model"), "output": str(tmp_path / "stems")}
    worker = Worker(WorkerSettings(SeparateCatalogConfig(), model_uri="test", fingerprint="test", **folders))
    (row,) = worker.rows([Assignment("song", str(tmp_path / "song.wav"))])
    assert row.status == "separated", row.message
    expected = np.stack([io.read(tmp_path / "stems" / name)[0] for name in row.stems])
    np.testing.assert_array_equal(stems, expected)
    np.testing.assert_allclose(stems.sum(0), mixture, atol=1e-6)


def test_a_prior_gives_its_log_densities(tracking_uri, tmp_path):
    torch.manual_seed(0)
    prior = TRAIN_PRIORS["smoke"].prior.build(8_000, 1)
    clips = 0.1 * torch.randn(3, 1, 4 * prior.multiple)
    uri = registered(prior, "vsep-prior-bass", tracking_uri, tmp_path)
    found = predicted(uri, tracking_uri, tmp_path, clips.numpy(), "noise_std", 0.1)
    expected = prior.eval().log_prob(clips, torch.full((3,), 0.1)).detach()
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_predicting_separator_takes_the_names_of_stems(separator):
    mixture = 0.2 * np.random.default_rng(0).standard_normal((1, 9_000)).astype(np.float32)
    model = SeparatorModel(separator)
    bass, rest = model.predict(mixture, {"sources": "bass rest"})
    assert np.array_equal(bass, model.predict(mixture)[0])
    np.testing.assert_allclose(bass + rest, mixture, atol=1e-6)
