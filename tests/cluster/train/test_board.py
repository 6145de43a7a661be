"""Workers post how far they are, and the driver reads it."""

import logging

import ray

from vsep_ray.cluster.runtime import progress, ray_private
from vsep_ray.cluster.train.board import Board, watched


@ray.remote(num_cpus=0.1)
def train(group, name, steps):
    board = Board(group, name, "loss 0.5")
    for step in (1, 2):
        board.alarm(f"drums gone silent: {step} %", step)
    list(board.counted(iter(range(steps)), 0))
    board.post(steps)


def test_the_steps_of_all_trainings_are_added_and_each_alarm_is_said_once(ray_session, monkeypatch, caplog):
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0.05)
    ray_private.post("sweep/of an earlier job", b'{"step": 1000, "words": "", "alarms": []}')
    with caplog.at_level(logging.INFO), watched("sweep", "2 trials", 30):
        ray.get([train.remote("sweep", name, steps) for name, steps in (("a", 10), ("b", 20))])
        ray.get(train.remote("sweep of another", "c", 5))
    assert caplog.messages[-1].startswith("2 trials: steps 30/30, ")
    alarms = sorted(m for m in caplog.messages if "silent" in m)
    assert alarms == [f"{name}, step 1: drums gone silent: 1 %" for name in "ab"]
    assert ray_private.posted("sweep/") == {}
    ray_private.take_down("sweep of another/")


def test_a_single_training_tells_its_loss(ray_session, caplog):
    with caplog.at_level(logging.INFO), watched("one", "separator B", 10):
        ray.get(train.remote("one", "one", 10))
    assert caplog.messages[-1].startswith("separator B: steps 10/10, loss 0.5, ")
