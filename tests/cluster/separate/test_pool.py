"""Groups of tracks on real actors: every group once, and what dies takes nothing else with it."""

import collections
import dataclasses
import os
import signal
from pathlib import Path

import pytest
from ray.exceptions import RayActorError

from vsep_ray.cluster.separate.pool import pool, results
from vsep_ray.cluster.separate.settings import Assignment, WorkerSettings
from vsep_ray.cluster.separate.worker import Worker
from vsep_ray.presets import SeparateCatalogConfig


class Scribe(Worker):
    """Says what it was given, as a reason to stop; some words do something else."""

    def __init__(self, settings):
        first = settings.output and not Path(settings.output).exists()
        if settings.model_uri == "nobody" or (settings.model_uri == "one" and not first):
            raise RuntimeError("no model here")
        if first:
            Path(settings.output).touch()

    def separate(self, assignments):
        names = " ".join(assignment.track for assignment in assignments)
        if "poison" in names:
            os.kill(os.getpid(), signal.SIGKILL)
        if "mistake" in names:
            raise KeyError(names)
        return names


def groups(*names):
    return [[Assignment(track, track) for track in name.split()] for name in names]


def said(settings, size, *names):
    with pool(Scribe, settings, size, "cpu") as actors:
        return collections.Counter(word for word in results(actors, groups(*names)) if word)


SETTINGS = WorkerSettings(SeparateCatalogConfig(), "", "model", "print", "")


@pytest.mark.ray
def test_every_group_is_done_once(ray_session):
    names = [f"a{i} b{i}" for i in range(20)]
    assert said(SETTINGS, 2, *names) == collections.Counter(names)
    assert said(SETTINGS, 0) == {}


@pytest.mark.ray
def test_an_actor_that_dies_loses_its_group_alone_and_comes_again(ray_session):
    names = ["first", "some poison", *map(str, range(8))]
    assert said(SETTINGS, 1, *names) == collections.Counter(n for n in names if "poison" not in n)


@pytest.mark.ray
def test_actors_that_find_no_room_are_not_waited_for(ray_session):
    assert said(SETTINGS, 9, "a", "b", "c").keys() == {"a", "b", "c"}  # the cluster has four CPUs


@pytest.mark.ray
def test_the_others_go_on_where_an_actor_cannot_be_made(ray_session, tmp_path):
    settings = dataclasses.replace(SETTINGS, model_uri="one", output=str(tmp_path / "made"))
    assert said(settings, 3, *"abcdefgh").keys() == set("abcdefgh")


@pytest.mark.ray
def test_no_actor_at_all_is_an_error_with_the_reason(ray_session):
    with pytest.raises(RayActorError, match="no model here"):
        said(dataclasses.replace(SETTINGS, model_uri="nobody"), 2, "a", "b")


@pytest.mark.ray
def test_a_mistake_in_a_worker_is_raised(ray_session):
    with pytest.raises(KeyError, match="a mistake"):
        said(SETTINGS, 1, "a mistake")
