"""Mistakes that are seen without Ray are told in a second, by a process that never imports it."""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vsep_ray.cluster.runtime import at_once
from vsep_ray.config import UserError
from vsep_ray.presets import (
    EvaluateConfig,
    PrepareCropsConfig,
    SeparateCatalogConfig,
    TrainSeparatorConfig,
)

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder without a cluster, with a file in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    Path("file").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (SeparateCatalogConfig(catalog="nowhere"), r"--catalog nowhere: there is no such file.*looked at /"),
        (SeparateCatalogConfig(catalog="/no/where"), "--catalog /no/where: there is no such file or folder$"),
        (SeparateCatalogConfig(catalog="file", model="no/model"), "--model no/model: there is no such"),
        (
            SeparateCatalogConfig(catalog="file", output="file"),
            "--output file: .*file is a file; name a folder",
        ),
        (SeparateCatalogConfig(catalog="file", storage="file/deep"), "--storage file/deep: .*file is a file"),
        (EvaluateConfig(model=("bundled", "./gone")), "--model ./gone: there is no such file"),
        (TrainSeparatorConfig(crops=("./gone",)), "--crops ./gone: there is no such file"),
        (PrepareCropsConfig(), None),
        (SeparateCatalogConfig(catalog="file", model="models:/x@champion"), None),
        (SeparateCatalogConfig(catalog="s3://bucket/music", output="s3://bucket/stems"), None),
        (SeparateCatalogConfig(catalog="music/*.wav", output="new/stems"), None),
    ],
)
def test_what_is_not_there_is_told(config, words):
    if words is None:
        at_once.check(config)
        return
    with pytest.raises(UserError, match=words):
        at_once.check(config)


@pytest.mark.parametrize("how", ["address", "file"])
def test_a_cluster_that_is_gone_is_told_with_the_cure(here, monkeypatch, how):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"  # nobody listens
        if how == "address":
            monkeypatch.setenv("RAY_ADDRESS", address)
        else:
            (here / "ray").mkdir()
            (here / "ray" / "ray_current_cluster").write_text(address)
        began = time.perf_counter()
        cure = "unset RAY_ADDRESS" if how == "address" else "remove that file"
        with pytest.raises(UserError, match=f"{address}.* does not answer .*{cure}"):
            at_once.check(SeparateCatalogConfig(catalog="file"))
        assert time.perf_counter() - began < 2 * at_once.ANSWER_SECONDS


@pytest.mark.parametrize("address", ["", "auto", "local", "ray://head:10001"])
def test_addresses_that_name_no_port_of_a_cluster_are_left_to_ray(monkeypatch, address):
    monkeypatch.setenv("RAY_ADDRESS", address)
    at_once.check(SeparateCatalogConfig(catalog="file"))


def test_a_cluster_that_answers_passes(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{server.getsockname()[1]}")
        at_once.check(SeparateCatalogConfig(catalog="file"))


RUN = """
import runpy, sys
sys.modules["ray"] = sys.modules["mlflow"] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize(
    ("job", "flags", "words"),
    [
        ("separate_catalog", ["nowhere"], "--catalog nowhere: there is no such file"),
        ("separate_catalog", ["--catalogue", "file"], "not understood"),
        ("prepare_crops", ["--root", "nowhere", "--dataset", "musdb18"], "nowhere: there is no such file"),
        ("train_priors", ["--preset", "few"], "--preset few is unknown"),
        ("train_separator", ["--crops", "./gone"], "--crops ./gone: there is no such file"),
        ("evaluate", ["--model", "./gone"], "--model ./gone: there is no such file"),
        ("tune", ["--config", "gone.json"], "cannot be read"),
        ("quickstart", ["--numbr", "3"], "not understood"),
        ("benchmark", ["--storage", "file"], "is a file"),
    ],
)
def test_ray_is_not_imported_for_a_mistake(here, job, flags, words):
    flags = [*flags, *([] if "--storage" in flags else ["--storage", "new"])]
    command = [sys.executable, "-c", RUN, str(ROOT / "jobs" / f"{job}.py"), *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    line = json.loads(done.stdout.splitlines()[-1])
    assert line["status"] == "refused" and words in line["error"]
    assert not Path("new").exists() and "Traceback" not in done.stderr


def test_a_reader_who_has_seen_enough_stops_no_job(here):
    """As ``python jobs/separate_catalog.py ... --dry-run | head -1``."""
    Path("song.wav").touch()
    command = [sys.executable, ROOT / "jobs" / "separate_catalog.py", "song.wav", "--dry-run"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as job:
        job.stdout.readline()
        job.stdout.close()
        errors = job.stderr.read()
    assert job.returncode == 0 and "BrokenPipe" not in errors
