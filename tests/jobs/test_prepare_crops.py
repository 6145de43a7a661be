"""The job as a user starts it: exit codes and the JSON line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from vsep_ray.data.crops import CropStore, latest_store

JOB = Path(__file__).parents[2] / "jobs" / "prepare_crops.py"


def start(tmp_path, *args):
    command = [sys.executable, str(JOB), "--preset", "smoke", "--storage", str(tmp_path / "storage"), *args]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    return done, json.loads(done.stdout.splitlines()[-1])


@pytest.mark.ray
def test_toy_crops_with_one_command(tmp_path):
    done, line = start(tmp_path)
    assert done.returncode == 0, done.stderr
    assert (line["job"], line["status"], line["tracks"]) == ("prepare_crops", "done", 1_152)
    assert {"crops", "seconds", "quarantined", "fingerprint"} <= set(line)
    assert CropStore.open(latest_store(str(tmp_path / "storage"))).fingerprint == line["fingerprint"]


def test_a_dry_run_touches_nothing(tmp_path):
    done, line = start(tmp_path, "--dry-run")
    assert (done.returncode, line["status"]) == (0, "planned")
    assert line["tracks"] == {"train": 1_024, "valid": 64, "test": 64}
    assert not (tmp_path / "storage").exists()


def test_mistakes_exit_with_2_and_one_line(tmp_path):
    done, line = start(tmp_path, "--dataset", "stems", "--dry-run")
    assert (done.returncode, line["status"]) == (2, "refused")
    assert "--root" in line["error"] and "Traceback" not in done.stderr
