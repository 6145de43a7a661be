"""What breaks when Ray changes the private names that are used."""

import inspect
import time

import pytest

from vsep_ray.cluster.runtime import ray_private
from vsep_ray.cluster.runtime.ray_private import (
    is_started_here,
    let_streams_rest,
    running_cluster,
    seed_of_passes,
)


def test_an_address_is_taken_as_it_is_and_no_cluster_is_none(monkeypatch):
    """Else a job would start a second cluster beside the one that it was told of."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert running_cluster("10.9.8.7:6379") == "10.9.8.7:6379"
    monkeypatch.setenv("RAY_ADDRESS", "10.9.8.7:6380")
    assert running_cluster(None) == "10.9.8.7:6380"


@pytest.mark.ray
def test_who_started_the_cluster_is_known(ray_session):
    """Else preflight would wait for nodes that can never come."""
    assert is_started_here()


@pytest.mark.ray
def test_every_pass_has_another_order_and_a_seed_repeats_them(ray_session):
    """Else training would see the crops in the same order in every epoch."""
    import ray.data

    def passes():
        blocks = ray.data.from_items(list(range(64)), override_num_blocks=16)
        shuffled = blocks.randomize_block_order(seed=seed_of_passes(3))
        return [[row["item"] for row in shuffled.iter_rows()] for _ in range(2)]

    first, second = passes()
    assert first != second and sorted(first) == sorted(second) == list(range(64))


@pytest.mark.ray
def test_a_stream_rests_while_nobody_takes_what_is_ready(ray_session, monkeypatch):
    """Else streams spin beside a training that takes its time, on a third of a core each."""
    import ray.data

    context, rested, sleep = ray.data.DataContext.get_current(), [], time.sleep
    monkeypatch.setattr(context, "custom_execution_callback_classes", [])
    monkeypatch.setattr(ray_private.time, "sleep", lambda seconds: rested.append(seconds) or sleep(0.01))
    let_streams_rest()
    rows = iter(ray.data.range(30, override_num_blocks=30).iter_rows())
    first = next(rows)
    while ray_private.REST_SECONDS not in rested:
        sleep(0.1)
    assert sorted([first["id"], *(row["id"] for row in rows)]) == list(range(30))


@pytest.mark.ray
def test_what_the_cluster_says_of_itself_is_a_line_of_the_log(ray_session, caplog, monkeypatch):
    """Else raylet's warnings stand between the lines of a job."""
    from ray._private import worker

    monkeypatch.setattr(worker, "print_to_stdstream", worker.print_to_stdstream)
    ray_private.hear_in_log()
    with caplog.at_level("DEBUG", logger=ray_private.__name__):
        worker.print_to_stdstream({"lines": ["8 workers have been started"], "is_err": False}, False)
    assert caplog.messages == ["ray: 8 workers have been started"]
    assert "print_to_stdstream(" in inspect.getsource(worker.listen_error_messages)
