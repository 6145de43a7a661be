"""Music in memory becomes the stems that a catalog's worker writes, without Ray and MLflow."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

import vsep_ray
from vsep_ray import checkpoint
from vsep_ray.audio import io
from vsep_ray.cluster.separate.settings import Assignment, WorkerSettings
from vsep_ray.cluster.separate.worker import Worker
from vsep_ray.config import UserError
from vsep_ray.presets import SeparateCatalogConfig
from vsep_ray.separators import Separator, SeparatorConfig, SpectrogramUNetConfig

SOURCES = ("bass", "drums", "guitar", "other", "piano", "vocals")
BACKBONE = SpectrogramUNetConfig(n_fft=64, hop=32, width=4, blocks=1)
CODE = """
import sys
sys.modules["ray"] = sys.modules["mlflow"] = None  # an import of either raises
import vsep_ray
assert "torch" not in sys.modules
import numpy as np
audio, rate, model, sources, out = sys.argv[1:]
np.savez(out, **vsep_ray.separate(np.load(audio), int(rate), model, sources))
"""


@pytest.fixture
def model(tmp_path):
    torch.manual_seed(0)
    separator = Separator(SeparatorConfig(SOURCES, 8_000, 1, (1.0,) * 6, backbone=BACKBONE))
    checkpoint.save(tmp_path / "model", separator, {})
    return str(tmp_path / "model")


def music(channels=2, samples=20_000):
    return np.random.default_rng(0).uniform(-0.3, 0.3, (channels, samples)).astype(np.float32)


def as_a_worker(folder, audio, rate, model, sources):
    """What a worker of the catalog job writes: name -> samples."""
    io.write(folder / "song.wav", audio, rate, subtype="float")
    config = SeparateCatalogConfig(sources=sources)
    worker = Worker(WorkerSettings(config, model, "the model", "print", str(folder / "stems")))
    (row,) = worker.rows([Assignment("song", str(folder / "song.wav"))])
    assert row.status == "separated", row.message
    stems = [io.read(folder / "stems" / name)[0] for name in row.stems]
    return dict(zip(worker.selection.stems, stems, strict=True))


@pytest.mark.parametrize("sources", ["", "four", "six", "vocals rest"])
@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (8_000, 1), (48_000, 6)])
def test_stems_are_those_of_a_catalog_to_the_last_bit(tmp_path, model, sources, rate, channels):
    audio = music(channels, 2 * rate + 7)
    stems = vsep_ray.separate(audio, rate, model, sources)
    expected = as_a_worker(tmp_path, audio, rate, model, tuple(sources.split()))
    assert list(stems) == list(expected)
    for name, stem in stems.items():
        assert stem.dtype == np.float32 and np.array_equal(stem, expected[name]), name
    np.testing.assert_allclose(sum(stems.values()), audio, atol=1e-6)


def test_neither_ray_nor_mlflow_is_needed_and_threads_change_nothing(tmp_path, model):
    np.save(tmp_path / "audio.npy", music())
    words = [tmp_path / "audio.npy", 22_050, model, "six", tmp_path / "stems.npz"]
    env = {**os.environ, "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-c", CODE, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    here = vsep_ray.separate(music(), 22_050, vsep_ray.load_separator(model), SOURCES)
    found = np.load(tmp_path / "stems.npz")
    assert all(np.array_equal(found[name], stem) for name, stem in here.items()) and len(here) == 6


@pytest.mark.parametrize(
    ("audio", "rate", "words"),
    [
        (music()[0], 8_000, r"audio\[None\]"),
        (music().T, 8_000, "audio.T"),
        (music()[:, :0], 8_000, "samples"),
        ((music() * 32_767).astype(np.int16), 8_000, "int16"),
        (np.full((1, 9_000), np.nan), 8_000, "not finite"),
        (music(), 0, "sample rate in Hz"),
    ],
)
def test_audio_of_another_kind_is_refused_in_words(model, audio, rate, words):
    with pytest.raises(UserError, match=words):
        vsep_ray.separate(audio, rate, model)


def test_models_that_are_not_there_are_refused_in_words(tmp_path):
    with pytest.raises(UserError, match="MLflow"):
        vsep_ray.load_separator("models:/vsep-separator@champion")
    with pytest.raises(UserError, match="cannot be read"):
        vsep_ray.load_separator(tmp_path / "nowhere")
    with pytest.raises(AttributeError, match="no attribute 'separation_of_powers'"):
        vsep_ray.separation_of_powers  # noqa: B018


def test_the_bundled_model_separates_a_song_into_four_stems():
    stems = vsep_ray.separate(music(2, 44_100), 44_100)
    assert set(stems) == {"vocals", "drums", "bass", "other"}
