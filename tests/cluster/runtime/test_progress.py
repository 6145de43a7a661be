"""How far work is, in words: a bar in a terminal, lines in a log."""

import io
import logging
import re
import sys
import time

import pytest
import ray

from vsep_ray.cluster.runtime import progress
from vsep_ray.cluster.runtime.progress import Done, Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def wait_for(what, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@ray.remote(num_cpus=0.1)
def after(seconds, value):
    time.sleep(seconds)
    if value is None:
        raise OSError("no value")
    return value


def test_the_speed_is_that_since_the_first_unit_was_done(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    work = Progress("songs", "songs", Done(total=10))
    now[0] = 60.0
    assert work.line() == "songs: songs 0/10, for 60 s"
    work.tell(1)
    now[0] = 80.0
    work.tell(3, "all is well")
    assert work.line() == "songs: songs 3/10, 70 s left, 0.1 songs/s, all is well"


def test_what_was_done_before_says_nothing_of_the_speed(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    work = Progress("training", "steps", Done(500, 600))
    now[0] = 10.0
    work.tell(550)
    assert "10 s left, 5 steps/s" in work.line()
    now[0] = 20.0
    work.tell(300)  # a worker died, and the training goes on from an older checkpoint
    now[0] = 30.0
    work.tell(400)
    assert "20 s left, 10 steps/s" in work.line()


def test_a_log_has_a_line_now_and_then_and_one_at_the_end(monkeypatch, caplog):
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(progress, "FIRST_SECONDS", 0.1)
    looks = iter(range(100_000))
    with caplog.at_level(logging.INFO), Progress("work", "steps", look=lambda: Done(next(looks), 100_000)):
        wait_for(lambda: len(caplog.messages) == 3)
    assert next(looks) > 20, "few of many looks are worth a line"
    assert "left" in caplog.messages[0] and "left" not in caplog.messages[-1]


def test_a_terminal_has_a_bar_that_moves_and_is_gone_in_the_end(monkeypatch, caplog):
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Progress("work", "steps", Done(total=4)) as work:
        for i in range(4):
            work.tell(i)
            wait_for(lambda i=i: f"work: steps {i}/4" in sys.stderr.getvalue())
    shown = sys.stderr.getvalue()
    assert "####" in shown
    assert re.search(r"\r {20,}\r", shown[shown.rindex("####") :]), "the bar stays"


def test_what_cannot_be_said_stops_no_work(monkeypatch, caplog):
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0.01)
    asked = []

    def look():
        asked.append(len(asked))
        if len(asked) == 1:
            raise OSError("away")
        return Done(1, 1)

    with Progress("work", "steps", look=look):
        wait_for(lambda: caplog.text)
    assert "no more is said of how far work is" in caplog.text


def test_work_that_is_interrupted_says_where(caplog):
    with caplog.at_level(logging.INFO), pytest.raises(KeyboardInterrupt), Progress("work", "steps") as work:
        work.tell(3, "3 of them")
        raise KeyboardInterrupt
    assert caplog.messages == ["work: 3 of them, not finished"]


def test_results_are_in_order(ray_session, caplog):
    with caplog.at_level(logging.INFO):
        assert progress.gathered([after.remote(s, s) for s in (1.0, 0.0)], "work", "values") == [1.0, 0.0]
    assert "work: values 2/2" in caplog.text


def test_a_task_that_fails_is_not_waited_for(ray_session):
    with pytest.raises(OSError, match="no value"):
        progress.gathered([after.remote(0.0, None)], "work", "values")


def test_no_tasks_have_no_results(ray_session):
    assert progress.gathered([], "work", "values") == []
