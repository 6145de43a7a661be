"""What jobs say to people."""

import logging
from dataclasses import replace

import pytest

from vsep_ray.cluster.runtime import talk
from vsep_ray.presets import JobConfig
from vsep_ray.presets.job import storage_root

CONFIG = JobConfig("laptop", storage="/s", tracking_uri="sqlite:////s/mlflow.db")


def test_a_job_begins_with_what_it_was_asked_to_do():
    args = ["songs/", "--preset", "laptop", "--storage=/s", "--format", "my format"]
    assert talk.opening(CONFIG, args) == "preset laptop, songs/ --format 'my format', storage /s"
    assert talk.opening(replace(CONFIG, config="best.json"), []) == "the config best.json, storage /s"


def test_a_job_ends_with_what_it_made_and_what_comes_next():
    lines = [("", "3 tracks"), ("failed", ""), ("stems", "/s/stems"), ("next", "listen")]
    assert talk.closing(CONFIG, lines, "abc") == [
        "3 tracks",
        "stems:   /s/stems",
        "run:     abc, mlflow server --backend-store-uri sqlite:////s/mlflow.db --port 5001",
        "next:    listen",
    ]
    assert talk.closing(replace(CONFIG, tracking_uri="http://a"), lines, "abc")[2] == "run:     abc, http://a"


def test_a_command_names_the_storage_where_it_is_not_the_usual_one(monkeypatch, tmp_path):
    assert talk.command("tune", CONFIG, "--preset", "x") == "python jobs/tune.py --preset x --storage /s"
    monkeypatch.setenv("VSEP_STORAGE", str(tmp_path))
    assert talk.command("tune", replace(CONFIG, storage=storage_root())) == "python jobs/tune.py"


@pytest.fixture
def logged(capsys):
    """What stands on standard error after lines were logged; the log is as it was afterwards."""
    root, before = logging.getLogger(), logging.getLogger().handlers[:]
    levels = {n: logging.getLogger(n).level for n in (None, "vsep_ray", *talk.QUIET)}

    def said(verbose):
        talk.begin(verbose)
        logging.getLogger("vsep_ray.x").info("a word")
        logging.getLogger("vsep_ray.x").debug("a detail")
        logging.getLogger("vsep_ray.x").warning("too few %s", "clips")
        logging.getLogger("matplotlib.x").warning("a plan")
        return capsys.readouterr().err.splitlines()

    yield said
    root.handlers[:] = before
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def test_the_log_has_our_words_or_everybody_s(logged):
    first, second = logged(verbose=False)
    assert first.endswith(" a word") and "vsep_ray" not in first
    assert second.endswith(" warning: too few clips")
    lines = logged(verbose=True)
    assert [line.split(" ", 1)[1] for line in lines] == [
        "INFO vsep_ray.x: a word",
        "DEBUG vsep_ray.x: a detail",
        "WARNING vsep_ray.x: too few clips",
        "WARNING matplotlib.x: a plan",
    ]
