"""The job as a user starts it: exit codes and the JSON line."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from vsep_ray import checkpoint
from vsep_ray.audio import io
from vsep_ray.separators import Separator, SeparatorConfig
from vsep_ray.separators.spectrogram_unet import SpectrogramUNetConfig

JOB = Path(__file__).parents[2] / "jobs" / "separate_catalog.py"


def start(tmp_path, *args):
    command = [sys.executable, str(JOB), "--preset", "smoke", "--storage", str(tmp_path / "storage"), *args]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    return done, json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def storage(tmp_path):
    torch.manual_seed(0)
    backbone = SpectrogramUNetConfig(n_fft=64, hop=32, width=4, blocks=1)
    config = SeparatorConfig(("bass", "other"), 8000, 1, (1.0, 1.0), backbone=backbone)
    checkpoint.save(tmp_path / "storage" / "models" / "x", Separator(config), {})
    (tmp_path / "music").mkdir()
    io.write(tmp_path / "music" / "a.wav", np.zeros((1, 9000), np.float32), 8000)
    (tmp_path / "music" / "b.wav").write_text("not sound")


@pytest.mark.ray
def test_exit_codes_follow_the_failures(tmp_path, storage):
    done, line = start(tmp_path, "--catalog", "music", "--max-failed", "0.5")
    assert done.returncode == 0, done.stderr
    assert (line["job"], line["status"], line["separated"], line["failed"]) == (
        "separate_catalog",
        "done",
        1,
        1,
    )
    assert Path(line["ledger"]).exists() and line["run_id"]
    done, line = start(tmp_path, "--catalog", "music")
    assert (done.returncode, line["status"], line["separated"]) == (1, "failed", 0)


def test_a_dry_run_and_a_mistake(tmp_path, storage):
    done, line = start(tmp_path, "--catalog", "music", "--dry-run")
    assert (done.returncode, line["status"], line["todo"]) == (0, "planned", 2)
    assert not (tmp_path / "storage" / "catalogs").exists()
    done, line = start(tmp_path)
    assert (done.returncode, line["status"]) == (2, "refused")
    assert "--catalog is missing" in line["error"] and "Traceback" not in done.stderr
