"""The job as a user starts it: the JSON line, the page, the user's mistakes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from vsep_ray import checkpoint
from vsep_ray.separators import Separator, SeparatorConfig
from vsep_ray.separators.spectrogram_unet import SpectrogramUNetConfig

JOB = Path(__file__).parents[2] / "jobs" / "evaluate.py"


def start(tmp_path, *args):
    command = [sys.executable, str(JOB), "--preset", "smoke", "--storage", str(tmp_path / "storage"), *args]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    return done, json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def song(tmp_path):
    """A latest separator in the storage, and one song of two stems."""
    torch.manual_seed(0)
    backbone = SpectrogramUNetConfig(n_fft=64, hop=32, width=4, blocks=1)
    config = SeparatorConfig(("bass", "other"), 8000, 1, (1.0, 1.0), backbone=backbone)
    checkpoint.save(tmp_path / "storage" / "models" / "x", Separator(config), {"regime": "B"})
    (tmp_path / "song").mkdir()
    for name in ("bassguitar", "horns"):
        audio = np.random.default_rng(len(name)).uniform(-0.3, 0.3, 8000)
        soundfile.write(tmp_path / "song" / f"{name}.wav", audio, 8000)


@pytest.mark.ray
def test_a_folder_of_stems(tmp_path, song):
    done, line = start(
        tmp_path, "--dataset", "stems", "--root", "song", "--map", "bass=bass*", "other=horns.*"
    )
    assert done.returncode == 0, done.stderr
    assert (line["job"], line["status"], line["regime"], line["tracks"]) == ("evaluate", "done", "B", 1)
    for metric in ("si_sdr_db", "si_sdr_improvement_db", "sdr_db"):
        assert set(line[metric]) == {"mean", "median"}
    assert line["mixture"]["si_sdr_db"]["mean"] < line["oracle"]["si_sdr_db"]["mean"]
    assert Path(line["report"]).read_text().startswith("<!doctype html>")
    assert any(text.startswith("B amortized ") for text in done.stdout.splitlines())


def test_a_dry_run_and_a_mistake(tmp_path, song, start_here):
    flags = ("--dataset", "stems", "--root", str(tmp_path / "song"), "--map", "bass=bass*")
    code, line, _, err = start_here(JOB, "--preset", "smoke", *flags, "--dry-run")
    assert (code, line["status"], line["units"]) == (0, "planned", 1), err
    code, line, _, err = start_here(JOB, "--preset", "smoke", "--dry-run")
    assert (code, line["status"]) == (2, "refused")
    assert "prepare_crops.py" in line["error"] and "Traceback" not in err
