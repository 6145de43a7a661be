import logging
import time

import pytest
import ray

from vsep_ray.cluster.runtime import progress


@ray.remote(num_cpus=0.1)
def after(seconds, value):
    time.sleep(seconds)
    if value is None:
        raise OSError("no value")
    return value


def test_results_are_in_order_and_the_log_says_how_far_they_are(ray_session, monkeypatch, caplog):
    monkeypatch.setattr(progress, "EVERY_SECONDS", 0.5)
    with caplog.at_level(logging.INFO):
        assert progress.gathered([after.remote(s, s) for s in (2.0, 0.0)], "values") == [2.0, 0.0]
    assert "values: 1 of 2" in caplog.messages


def test_a_task_that_fails_is_not_waited_for(ray_session):
    with pytest.raises(OSError, match="no value"):
        progress.gathered([after.remote(0.0, None)], "values")


def test_no_tasks_have_no_results(ray_session):
    assert progress.gathered([], "values") == []
