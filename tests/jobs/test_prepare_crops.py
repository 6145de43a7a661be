"""The job as a user starts it: exit codes and the JSON line."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
import soundfile
from damage import DAMAGES, RATE, check

from vsep_ray import storage
from vsep_ray.crops.store import CropStore, latest_store

JOB = Path(__file__).parents[2] / "jobs" / "prepare_crops.py"


def command(tmp_path, *args):
    return [sys.executable, str(JOB), "--preset", "smoke", "--storage", str(tmp_path / "storage"), *args]


def start(tmp_path, *args):
    done = subprocess.run(command(tmp_path, *args), capture_output=True, text=True, cwd=tmp_path)
    return done, json.loads(done.stdout.splitlines()[-1])


@pytest.mark.ray
def test_toy_crops_with_one_command(tmp_path):
    few = ["--dataset.train-tracks", "64", "--dataset.valid-tracks", "8", "--dataset.test-tracks", "8"]
    done, line = start(tmp_path, *few, "--sources", "sine", "square")
    assert done.returncode == 0, done.stderr
    assert (line["job"], line["status"], line["tracks"]) == ("prepare_crops", "done", 80)
    assert {"crops", "seconds", "quarantined", "fingerprint"} <= set(line)
    assert CropStore.open(latest_store(str(tmp_path / "storage"))).fingerprint == line["fingerprint"]
    assert Path(line["page"]).is_file()


def test_a_dry_run_says_what_the_data_set_holds_and_touches_nothing(tmp_path, start_here):
    code, line, out, _ = start_here(JOB, "--preset", "smoke", "--dry-run", "--sources", "sine", "square")
    assert (code, line["status"], line["sources"]) == (0, "planned", ["sine", "square"])
    assert line["tracks"] == {"train": 1_024, "valid": 64, "test": 64}
    *_, head, first, second = (x.split() for x in out.splitlines() if x.startswith(("split", "train")))
    assert head[:5] == ["split", "source", "songs", "tracks", "read"]
    assert first[:6] == ["train", "sine", "1024", "1024", "3", "~2.2"] and second[1] == "square"
    assert list(tmp_path.iterdir()) == []


def test_mistakes_exit_with_2_and_one_line(start_here):
    code, line, _, err = start_here(JOB, "--dataset", "stems", "--dry-run")
    assert (code, line["status"]) == (2, "refused")
    assert "--root" in line["error"] and "Traceback" not in err


def make_library(root, num):
    """Tracks of two sources in wav and FLAC, ten of them damaged in ten ways; path -> kind of damage."""
    rng = np.random.default_rng(0)
    damaged = {}
    kinds = iter(list(DAMAGES)[-10:])
    for i in range(num):
        kind = next(kinds, None) if i % (num // 10) == 3 else None
        ending = DAMAGES[kind][0] if kind else (".wav", ".flac")[i % 2]
        path = root / ("drums", "bass")[i % 2] / f"song {i}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, rng.uniform(-0.3, 0.3, 40_000), RATE)
        if kind:
            DAMAGES[kind][1](path)
            damaged[str(path)] = kind
    return damaged


@pytest.mark.slow
@pytest.mark.ray
def test_of_200_tracks_10_damaged_ones_are_quarantined_and_the_rest_is_stored(tmp_path):
    damaged = make_library(tmp_path / "music", 200)
    done, line = start(tmp_path, "--dataset", "sources", "--root", str(tmp_path / "music"))
    assert (done.returncode, line["status"]) == (0, "done"), done.stderr
    assert (line["tracks"], line["quarantined"]) == (190, 10)
    table = pq.read_table(f"{line['output']}/_quarantine.parquet").to_pylist()
    assert {row["uri"] for row in table} == damaged.keys() and len(table) == 10
    for row in table:
        check(damaged[row["uri"]], row["stage"], row["reason"])
    again, same = start(
        tmp_path, "--dataset", "sources", "--root", str(tmp_path / "music"), "--max-failed", "0.04"
    )
    assert (again.returncode, same["status"]) == (1, "failed"), "5 % are more than 4 %"


def rows(uri):
    store = CropStore.open(uri)
    return {
        (name, *row.values())
        for name in storage.list_files(uri)
        if name.startswith("split=")
        for row in pq.read_table(storage.join(uri, name), partitioning=None).to_pylist()
    }, store.content


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("kills", [2, 10])
def test_killed_at_random_moments_it_ends_with_the_same_store(tmp_path, kills):
    make_library(tmp_path / "music", 100)
    flags = ["--dataset", "sources", "--root", str(tmp_path / "music"), "--max-failed", "1"]
    began = time.monotonic()
    _, line = start(tmp_path, *flags)
    seconds = time.monotonic() - began
    moments = random.Random(kills)
    disturbed = ["--output", str(tmp_path / "disturbed")]
    for _ in range(kills):
        job = subprocess.Popen(command(tmp_path, *flags, *disturbed), cwd=tmp_path)
        time.sleep(moments.uniform(0.3, 1) * seconds)
        family = psutil.Process(job.pid).children(recursive=True) if job.poll() is None else []
        job.send_signal(signal.SIGKILL)
        job.wait()
        psutil.wait_procs(family, timeout=30)
    done, last = start(tmp_path, *flags, *disturbed)
    assert done.returncode == 0, done.stderr
    assert last["content"] == line["content"] and last["fingerprint"] == line["fingerprint"]
    assert rows(last["output"]) == rows(line["output"])
