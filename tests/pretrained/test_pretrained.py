"""The model in the box: of any checkpoint, small and whole; the real one where it is there."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from vsep_ray import checkpoint, pretrained, storage
from vsep_ray.config import UserError
from vsep_ray.separators import Separator, SeparatorConfig, SpectrogramUNetConfig

BACKBONE = SpectrogramUNetConfig(n_fft=64, hop=32, width=4, blocks=1)
SOURCES = ("bass", "drums", "guitar", "other", "piano", "vocals")
MADE = {"regime": "B", "crops": "0123", "step": 7, "clips": "/home/me/clips", "run_id": "x", "validation": {}}


@pytest.fixture
def trained(tmp_path):
    torch.manual_seed(0)
    separator = Separator(SeparatorConfig(SOURCES, 8_000, 1, (1.0,) * 6, backbone=BACKBONE))
    checkpoint.save(tmp_path / "trained", separator, MADE)
    return separator


def test_a_bundled_model_is_the_trained_one_in_bf16(trained, tmp_path):
    folder = pretrained.directory(pretrained.bundle(str(tmp_path / "trained"), tmp_path / "box"))
    stored = load_file(folder / "model.safetensors")
    again = checkpoint.load_separator(folder)
    assert again.config == trained.config and {v.dtype for v in stored.values()} == {torch.bfloat16}
    for name, weight in trained.state_dict().items():
        loaded = again.state_dict()[name]
        assert loaded.dtype == torch.float32 and torch.equal(loaded, weight.bfloat16().float())


def test_its_provenance_is_short_and_knows_no_paths(trained, tmp_path):
    pretrained.bundle(str(tmp_path / "trained"), tmp_path / "box")
    kept = json.loads((tmp_path / "box" / "provenance.json").read_text())
    assert kept.pop(storage.FINISHED)
    assert kept == {"regime": "B", "crops": "0123", "step": 7, "weights": "bf16"}


def test_a_model_that_is_too_large_is_refused(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "LARGEST", 1_000)
    with pytest.raises(UserError, match="MB of weights"):
        pretrained.bundle(str(tmp_path / "trained"), tmp_path / "box")
    assert not (tmp_path / "box").exists()


def test_where_none_is_bundled_one_sentence_says_so(tmp_path):
    with pytest.raises(UserError, match="no weights are bundled"):
        pretrained.directory(tmp_path)


def test_the_command_makes_the_folder_and_tells_mistakes_in_one_line(trained, tmp_path):
    command = [sys.executable, "-m", "vsep_ray.pretrained", "--folder", str(tmp_path / "box")]
    done = subprocess.run([*command, str(tmp_path / "trained")], capture_output=True, text=True)
    assert done.returncode == 0 and checkpoint.is_complete(done.stdout.strip()), done.stderr
    refused = subprocess.run([*command, str(tmp_path / "nowhere")], capture_output=True, text=True)
    assert refused.returncode == 2 and len(refused.stderr.splitlines()) == 1


def test_the_real_one_has_six_sources_at_44100_hz_and_is_small():
    separator = checkpoint.load_separator(pretrained.directory())
    assert set(separator.sources) == set(SOURCES)
    assert (separator.sample_rate, separator.channels) == (44_100, 2)
    assert (pretrained.FOLDER / "model.safetensors").stat().st_size <= pretrained.LARGEST
