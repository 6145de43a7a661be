"""The job as a user starts it: exit codes, the JSON line, and kills at random moments."""

import collections
import json
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
import torch
from damage import check
from ledgers import rows_of
from library import check_stems, contents, make_library

from vsep_ray import checkpoint
from vsep_ray.audio import io
from vsep_ray.catalog.ledger import Ledger
from vsep_ray.separators import Separator, SeparatorConfig
from vsep_ray.separators.spectrogram_unet import SpectrogramUNetConfig

JOB = Path(__file__).parents[2] / "jobs" / "separate_catalog.py"


def command(tmp_path, *args):
    return [sys.executable, str(JOB), "--preset", "smoke", "--storage", str(tmp_path / "storage"), *args]


def start(tmp_path, *args):
    done = subprocess.run(command(tmp_path, *args), capture_output=True, text=True, cwd=tmp_path)
    return done, json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def storage(tmp_path, empty_database):
    torch.manual_seed(0)
    backbone = SpectrogramUNetConfig(n_fft=64, hop=32, width=4, blocks=1)
    config = SeparatorConfig(("bass", "other"), 8000, 1, (1.0, 1.0), backbone=backbone)
    checkpoint.save(tmp_path / "storage" / "models" / "x", Separator(config), {})
    (tmp_path / "storage" / "mlflow.db").write_bytes(empty_database.read_bytes())


@pytest.fixture
def music(tmp_path, storage):
    (tmp_path / "music").mkdir()
    io.write(tmp_path / "music" / "a.wav", np.zeros((1, 9000), np.float32), 8000)
    (tmp_path / "music" / "b.wav").write_text("not sound")


@pytest.mark.ray
def test_too_many_failures_are_exit_code_1(tmp_path, music):
    done, line = start(tmp_path, "--catalog", "music")
    assert done.returncode == 1, done.stderr
    figures = [line[name] for name in ("job", "status", "separated", "failed", "undone")]
    assert figures == ["separate_catalog", "failed", 1, 1, 0]
    assert Path(line["ledger"]).exists() and line["run_id"]
    told = done.stdout.splitlines()[:-1]
    assert told[0].startswith("2 tracks: 1 separated, 1 failed; ") and len(told) == 5
    assert [words.partition(":")[0] for words in told[1:]] == ["failed", "stems", "page", "run"]
    assert "such as b.wav: " in told[1] and "--retry-failed" in told[1] and line["output"] in told[2]
    assert not re.search("raylet|WARNING|INFO|Traceback|pid=", done.stderr), done.stderr
    assert re.search(r"separation: tracks 2/2, .*, \d+ s$", done.stderr, re.M)


def kill_somebody(job, dice):
    """SIGKILL to the driver, perhaps to one of its actors first, and whether to one; its family may live on
    for a while."""
    family = psutil.Process(job.pid).children(recursive=True) if job.poll() is None else []
    actors = [p for p in family if p.is_running() and "ray::Worker" in "".join(p.cmdline())]
    if is_actor := bool(actors) and dice.random() < 0.4:
        dice.choice(actors).kill()
        time.sleep(dice.uniform(0.0, 3.0))
    if job.poll() is None:
        job.send_signal(signal.SIGKILL)
    job.wait()
    return is_actor


SIZES = [(40, 11, 2.0, 1), pytest.param(300, 30, 240.0, 20, marks=pytest.mark.slow)]


@pytest.mark.ray
@pytest.mark.parametrize(("tracks", "damaged", "seconds", "kills"), SIZES)
@pytest.mark.parametrize("format", ["flac"])
def test_a_mixed_library_undisturbed_and_killed_at_random_moments(
    tmp_path, storage, monkeypatch, tracks, damaged, seconds, kills, format
):
    library = make_library(tmp_path / "music", tracks, damaged, seconds)
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")  # sockets need short paths
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    flags = ["--catalog", str(tmp_path / "music"), "--max-failed", "1", "--format", format]
    began = time.monotonic()
    done, line = start(tmp_path, *flags, "--output", str(tmp_path / "calm"))
    calm_seconds = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    assert (line["separated"], line["failed"]) == (tracks - damaged, damaged)
    rows = rows_of(Ledger(str(tmp_path / "calm")))
    assert rows.keys() == library.keys()
    for track, kind in library.items():
        if kind:
            check(kind, rows[track].stage, rows[track].message)
        else:
            check_stems(tmp_path / "music", tmp_path / "calm", track, rows[track])

    dice = random.Random(kills)
    output, actors = tmp_path / "killed", 0
    for _ in range(kills):
        log = (tmp_path / "log").open("ab")
        job = subprocess.Popen(
            command(tmp_path, *flags, "--output", str(output)), cwd=tmp_path, stdout=log, stderr=log
        )
        time.sleep(dice.uniform(0.4, 1.0) * min(calm_seconds, 15))
        actors += kill_somebody(job, dice)
    assert actors or kills == 1
    done, line = start(tmp_path, *flags, "--output", str(output))
    assert done.returncode == 0, done.stderr
    assert contents(output) == contents(tmp_path / "calm")
    assert [p.name for p in (output / "_ledger").iterdir()] == ["ledger.parquet"]
    assert [p for p in (tmp_path / "tmp").rglob("*") if "vsep" in p.name] == []
    table = pq.read_table(output / "_ledger" / "ledger.parquet")
    counts = collections.Counter(table["track"].to_pylist())
    assert counts.keys() == library.keys() and set(counts.values()) == {1}
    assert table["status"].to_pylist().count("separated") == tracks - damaged
