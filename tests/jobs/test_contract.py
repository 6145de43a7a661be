"""The command line of every job, as a user meets it: dry runs, mistakes, one JSON line at the end."""

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

JOBS = sorted((Path(__file__).parents[2] / "jobs").glob("*.py"))
SELF_SUFFICIENT = ("benchmark", "prepare_crops", "quickstart", "train_priors", "train_separator", "tune")


@pytest.mark.parametrize("job", JOBS, ids=lambda p: p.stem)
def test_an_unknown_preset_is_one_clear_line(job, start_here):
    code, line, _, err = start_here(job, "--preset", "nonsense")
    assert (code, line["job"], line["status"]) == (2, job.stem, "refused")
    assert err.splitlines()[-1].startswith("error: --preset nonsense is unknown; there are ")
    assert "Traceback" not in err


@pytest.mark.parametrize("flags", [("--nonsense", "1"), ("--preset", "smoke", "--dry-run", "maybe")])
def test_flags_that_are_not_understood(flags, start_here):
    code, line, _, err = start_here(JOBS[0], *flags)
    assert (code, line["status"]) == (2, "refused")
    assert "Traceback" not in err


@pytest.mark.parametrize("name", SELF_SUFFICIENT)
@pytest.mark.parametrize("preset", ["smoke", "toy"])
def test_a_dry_run_touches_nothing(name, preset, start_here, tmp_path):
    job = next(j for j in JOBS if j.stem == name)
    code, line, *_ = start_here(job, "--preset", preset, "--dry-run")
    assert (code, line["job"], line["status"]) == (0, name, "planned")
    assert not (tmp_path / "storage").exists()


@pytest.mark.parametrize("job", JOBS, ids=lambda p: p.stem)
def test_a_job_is_executable_and_says_how_to_start_it(job):
    assert os.access(job, os.X_OK)
    text = job.read_text()
    assert text.startswith("#!/usr/bin/env python\n")
    for way in ("python jobs/", "ray job submit --working-dir . -- python jobs/"):
        assert way + job.name in text
    assert re.search(rf"ray job submit (-- )?jobs/{job.name}", text)
    assert not re.search(r"ray job submit jobs/\S+ -", text), "Ray takes flags for its own without --"


def test_help_names_every_field(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train_priors.py", "--help"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(JOBS[0].with_name("train_priors.py")), run_name="__main__")
    out = capsys.readouterr().out
    assert end.value.code == 0
    for field in ("--storage", "--dry-run", "--prior.steps", "--fit.learning-rate", "--noise-stds"):
        assert field in out


@pytest.mark.ray
@pytest.mark.parametrize("name", ["train_separator"])
def test_a_missing_crop_store_is_one_clear_line(name, tmp_path):
    """A process of its own: the file as a program, and a Ray cluster of its own."""
    job = next(j for j in JOBS if j.stem == name)
    command = [str(job), "--storage", str(tmp_path / "storage"), "--crops", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    line = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, line["job"], line["status"]) == (2, name, "refused")
    error = done.stderr.splitlines()[-1]
    assert (
        error == f"error: {line['error']}"
        and "is no finished crop store: there is no _store.json in it" in error
    )
    assert "Traceback" not in done.stderr
