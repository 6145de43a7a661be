"""What every job script does around its work, without a job."""

import dataclasses
import json
import os
import signal
import sys
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from vsep_ray.cluster.runtime.main import main, resolve
from vsep_ray.config import FORMAT, UserError, option, to_dict
from vsep_ray.presets import JobConfig


@dataclass(frozen=True)
class CountConfig(JobConfig):
    """A job that counts."""

    number: int = option(1, first=True)
    slow: bool = option(False, role="manner")


PRESETS = {"plain": CountConfig("plain"), "many": CountConfig("many", number=100)}


@pytest.fixture
def start(monkeypatch, capsys, tmp_path):
    """Start the job with some flags, its work replaced by a dry run: the exit code, and the JSON line."""

    def started(*flags, plan=lambda config: {"number": config.number}):
        words = ["count.py", *flags, "--storage", str(tmp_path), "--dry-run"]
        monkeypatch.setattr(sys, "argv", words)
        monkeypatch.setitem(sys.modules, "counting", SimpleNamespace(plan=plan))
        with pytest.raises(SystemExit) as end:
            main(CountConfig, PRESETS, "counting")
        return end.value.code, json.loads(capsys.readouterr().out.splitlines()[-1])

    return started


def test_the_last_line_is_json(start):
    assert start("--preset", "many") == (
        0, {"job": "count", "run_id": None, "status": "planned", "number": 100}
    )  # fmt: skip


def test_a_user_s_mistake_is_one_line_and_exit_code_2(start):
    for flags, words in [
        (["--preset", "few"], "--preset few is unknown; there are plain, many"),
        (["--numbr", "3"], "--numbr is unknown; perhaps you meant --number"),
        (["--config", "gone.json"], "--config gone.json: there is no such file"),
        (["--config", "gone.json", "--preset", "many"], "--config and --preset exclude each other"),
    ]:
        code, line = start(*flags)
        assert (code, line["status"]) == (2, "refused") and words in line["error"]


def test_a_mistake_of_ours_is_exit_code_1_with_json_all_the_same(start):
    code, line = start(plan=lambda config: 1 / 0)
    assert (code, line["status"], line["error"]) == (1, "failed", "ZeroDivisionError: division by zero")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_job_says_how_it_goes_on(start, number, code):
    found, line = start(plan=lambda config: os.kill(os.getpid(), number))
    assert (found, line["status"]) == (code, "interrupted") and "the same command goes on" in line["error"]


def test_what_stands_first_needs_no_flag(start):
    assert start("7")[1]["number"] == 7
    assert start("7", "--preset", "many")[1]["number"] == 7


def test_a_config_file_takes_the_place_of_a_preset(start, tmp_path):
    file = tmp_path / "best.json"
    content = to_dict(dataclasses.replace(PRESETS["many"], number=7))
    file.write_text(json.dumps({"format": FORMAT, "count": content}))
    assert start("--config", str(file))[1]["number"] == 7
    assert start("--config", str(file), "--number", "8")[1]["number"] == 8
    file.write_text(json.dumps({"other": {"type": "OtherConfig"}}))
    assert "has no settings of this job in it (CountConfig)" in start("--config", str(file))[1]["error"]


def test_a_config_file_of_an_older_format_is_refused_in_words(start, tmp_path):
    file = tmp_path / "best.json"
    file.write_text(json.dumps({"count": {**to_dict(PRESETS["many"]), "beta": 3.0}}))
    code, line = start("--config", str(file))
    assert code == 2
    assert "no field beta" in line["error"] and f"of format 1, this version writes {FORMAT}" in line["error"]


def test_storage_and_tracking_become_absolute(monkeypatch, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("VSEP_STORAGE", str(tmp_path))
    found = resolve(CountConfig())
    assert (found.storage, found.tracking_uri) == (str(tmp_path), f"sqlite:///{tmp_path}/mlflow.db")
    with pytest.raises(UserError, match="record of runs cannot lie in a bucket"):
        resolve(CountConfig(storage="s3://bucket/x"))
