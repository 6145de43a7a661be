"""Mistakes that are seen without Ray are told in a second, by a process that never imports it."""

import json
import os
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
    Path("song.wav").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (SeparateCatalogConfig(catalog="nowhere"), r"--catalog nowhere: there is no such file.*looked at /"),
        (SeparateCatalogConfig(catalog="/no/where"), "--catalog /no/where: there is no such file or folder$"),
        (SeparateCatalogConfig(catalog="song.wav", model="no/model"), "--model no/model: there is no such"),
        (
            SeparateCatalogConfig(catalog="song.wav", output="file"),
            "--output: .*file is a file, not a folder",
        ),
        (
            SeparateCatalogConfig(catalog="song.wav", storage="file/deep"),
            "--storage: .*file is a file",
        ),
        (EvaluateConfig(model=("bundled", "./gone")), "--model ./gone: there is no such file"),
        (TrainSeparatorConfig(crops=("./gone",)), "--crops ./gone: there is no such file"),
        (PrepareCropsConfig(), None),
        (SeparateCatalogConfig(catalog="song.wav", model="models:/x@champion"), None),
        (SeparateCatalogConfig(catalog="s3://bucket/music", output="s3://bucket/stems"), None),
        (SeparateCatalogConfig(catalog="*.wav", output="new/stems"), None),
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
            at_once.check(SeparateCatalogConfig(catalog="song.wav"))
        assert time.perf_counter() - began < 2 * at_once.ANSWER_SECONDS


@pytest.mark.parametrize("address", ["", "auto", "local", "ray://head:10001"])
def test_addresses_that_name_no_port_of_a_cluster_are_left_to_ray(monkeypatch, address):
    monkeypatch.setenv("RAY_ADDRESS", address)
    at_once.check(SeparateCatalogConfig(catalog="song.wav"))


def test_a_cluster_that_answers_passes(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{server.getsockname()[1]}")
        at_once.check(SeparateCatalogConfig(catalog="song.wav"))


RUN = """
import contextlib, io, json, runpy, sys
sys.modules["ray"] = sys.modules["mlflow"] = None
for command in json.load(sys.stdin):
    sys.argv, out, err, code = command, io.StringIO(), io.StringIO(), None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_path(sys.argv[0], run_name="__main__")
        except SystemExit as end:
            code = end.code
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""

WRONG = [
    (
        "separate_catalog",
        "",
        "--catalog is missing: say which songs, such as jobs/separate_catalog.py songs/",
    ),
    ("separate_catalog", "nowhere", "--catalog nowhere: there is no such file or folder (looked at /"),
    ("separate_catalog", "empty", "--catalog empty has no sound file in it; endings that count: .aac"),
    ("separate_catalog", "text.txt", "--catalog text.txt is no sound file; endings that count"),
    ("separate_catalog", "list.csv", "has no column 'path'; it has name. Files stand in column path or uri"),
    ("separate_catalog", "songs/*.mp3", "has no sound files; endings that count"),
    ("separate_catalog", "none/*.mp3", "is not there; expected a folder, glob"),
    ("separate_catalog", "songs --overlap 0,25", "--overlap takes a number, got '0,25'"),
    ("separate_catalog", "ftp://a/b", "ftp:// cannot be read; name a local path or s3://"),
    (
        "separate_catalog",
        "a.wav b.wav",
        "b.wav is one name too many beside a.wav; for several name their folder",
    ),
    (
        "separate_catalog",
        "songs --modle x",
        "--modle is unknown; perhaps you meant --model (--help lists all flags)",
    ),
    ("separate_catalog", "--catalogue songs", "perhaps you meant --catalog"),
    (
        "separate_catalog",
        "songs --model ./gone",
        "--model ./gone: there is no such file or folder (looked at /",
    ),
    (
        "separate_catalog",
        "songs --model empty",
        "--model empty is no model: there is no config.json in it",
    ),
    (
        "separate_catalog",
        "songs --output file",
        "file is a file, not a folder; name a folder (it is made if missing)",
    ),
    ("separate_catalog", "songs --storage file", "file is a file, not a folder; name a folder"),
    (
        "separate_catalog",
        "songs --storage s3://b/x",
        "name its server by --tracking-uri http://HOST:PORT",
    ),
    ("separate_catalog", "songs --overlap 0.7", "--overlap must be between 0 and 0.5, got 0.7"),
    ("separate_catalog", "songs --chunk-seconds 0", "--chunk-seconds must be more than 0, got 0"),
    ("separate_catalog", "songs --shifts 0", "--shifts must be at least 1, got 0"),
    ("separate_catalog", "songs --max-failed 5", "--max-failed must be between 0 and 1, got 5"),
    (
        "separate_catalog",
        "songs --format aac",
        "--format aac is unknown; there are wav, flac, ogg, opus, mp3 (--help",
    ),
    (
        "separate_catalog",
        "songs --format flac --subtype float",
        "flac has no subtype 'float'; it has auto, 24, 16",
    ),
    (
        "separate_catalog",
        "songs --method magic",
        "--method magic is unknown; there are amortized, refine, langevin",
    ),
    (
        "separate_catalog",
        "songs --priors x",
        "--priors is not used here: --method amortized (the default) asks no priors; add",
    ),
    ("separate_catalog", "songs --template {path}", "must contain {source} and no fields but {path}"),
    ("separate_catalog", "songs --preset toys", "--preset toys is unknown; there are songs, smoke"),
    (
        "separate_catalog",
        "songs --config gone.json",
        "--config gone.json: there is no such file (looked at /",
    ),
    ("separate_catalog", "songs --config file", "--config file is no JSON, such as a sweep's best.json"),
    ("separate_catalog", "songs --num-actors two", "--num-actors takes a whole number, got 'two'"),
    ("prepare_crops", "--dataset stems", "--dataset stems needs --root, the folder"),
    ("prepare_crops", "--dataset stem", "--dataset stem is unknown; there are toy, stems, sources"),
    ("prepare_crops", "--dataset musdb18 --root nowhere", "--root nowhere: there is no such file or folder"),
    ("prepare_crops", "--dataset sources --root empty", "--root empty has no sound file in it"),
    ("prepare_crops", "--dataset sources --root songs --map bass", "--map 'bass': expected SOURCE=GLOB"),
    ("prepare_crops", "--crop.length 0", "crops need a positive sample rate, channels and length"),
    ("prepare_crops", "--root songs", "--root is not used here; say --dataset stems --dataset.root songs"),
    ("prepare_crops", "--valid-fraction 0.2", "--dataset toy comes with its splits; leave it out"),
    ("train_priors", "--preset few", "--preset few is unknown; there are toy, smoke, laptop"),
    ("train_priors", "--prior diffusion", "--prior diffusion is unknown; there are flow, wavenet"),
    ("train_priors", "--noise-stds 0", "--noise-stds must be more than 0, got 0"),
    ("train_separator", "--regime D", "--regime D is unknown; there are A, B, C"),
    ("train_separator", "--crops ./gone", "--crops ./gone: there is no such file or folder (looked at /"),
    (
        "train_separator",
        "--crops empty",
        "--crops empty is no finished crop store: there is no _store.json in it; jobs/prepare_crops.py",
    ),
    ("train_separator", "--start ./gone", "--start ./gone: there is no such file or folder"),
    ("train_separator", "--fit.steps many", "--fit.steps takes a whole number, got 'many'"),
    ("train_separator", "--fit.steps -1", "--fit.steps must be at least 1, got -1"),
    ("train_separator", "--fit.learning-rate 0", "--fit.learning-rate must be more than 0"),
    ("train_separator", "--self-training.beta 0.5", "say --self-training wake --self-training.beta 0.5"),
    ("evaluate", "--model ./gone", "--model ./gone: there is no such file or folder (looked at /"),
    ("evaluate", "--dataset musdb18", "--dataset musdb18 needs --root"),
    ("evaluate", "--max-tracks 0", "--max-tracks must be at least 1, got 0"),
    ("tune", "--config gone.json", "--config gone.json: there is no such file"),
    ("tune", "--reduction 0", "--reduction must be at least 1, got 0"),
    ("quickstart", "--numbr 3", "--numbr is unknown (--help lists all flags)"),
    ("quickstart", "--separator.regime B", "the quickstart trains regimes A and B; leave out"),
    ("benchmark", "more", "more stands alone, where a flag such as --preset is expected"),
]


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Command -> exit code, standard output and error: one process, without Ray and MLflow, makes all the
    mistakes."""
    folder = tmp_path_factory.mktemp("wrong")
    for name in ("songs/a.wav", "a.wav", "b.wav", "empty/text.txt", "text.txt", "file", "list.csv"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("name\n1\n")
    commands = [[str(ROOT / "jobs" / f"{job}.py"), *flags.split()] for job, flags, _ in WRONG]
    env = {k: v for k, v in os.environ.items() if k not in ("RAY_ADDRESS", "MLFLOW_TRACKING_URI")}
    done = subprocess.run(
        [sys.executable, "-c", RUN], input=json.dumps(commands), cwd=folder, capture_output=True, text=True,
        check=False, env=env | {"VSEP_STORAGE": str(folder / "store"), "RAY_TMPDIR": str(folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not (folder / "store").exists()
    return dict(
        zip(((job, flags) for job, flags, _ in WRONG), map(json.loads, done.stdout.splitlines()), strict=True)
    )


@pytest.mark.parametrize(("job", "flags", "words"), WRONG)
def test_a_mistake_is_told_in_one_sentence_and_without_ray(told, job, flags, words):
    code, out, err = told[job, flags]
    line = json.loads(out.splitlines()[-1])
    assert (code, line["job"], line["status"]) == (2, job, "refused"), err
    assert words in line["error"] and err.splitlines() == [f"error: {line['error']}"]


def test_a_reader_who_has_seen_enough_stops_no_job(here):
    """As ``python jobs/separate_catalog.py ... --dry-run | head -1``."""
    command = [sys.executable, ROOT / "jobs" / "separate_catalog.py", "song.wav", "--dry-run"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as job:
        job.stdout.readline()
        job.stdout.close()
        errors = job.stderr.read()
    assert job.returncode == 0 and "BrokenPipe" not in errors
