"""Bulk separation has a pool of actors: whoever is free does the next group of tracks.

An actor whose process or node dies comes again by itself, as soon as there is room for it; the group that it
died with does not: `job` hands its tracks out again.
"""

import contextlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from vsep_ray.cluster.runtime import capacity
from vsep_ray.cluster.separate.settings import Assignment, WorkerSettings
from vsep_ray.cluster.separate.worker import Worker
from vsep_ray.presets import Device

log = logging.getLogger(__name__)
GLANCE_SECONDS = 1.0
"""A caller of `results` hears nothing for this long at most."""


@contextlib.contextmanager
def pool(worker: type[Worker], settings: WorkerSettings, size: int, device: Device) -> Iterator[list[Any]]:
    """Makes ``size`` actors of a class of workers, one per CPU, and per GPU where there are GPUs.

    They are killed at the end, and nobody waits then: what they do not finish is as if they had not begun.
    """
    actor = capacity.on_device(worker, device, max_restarts=-1, scheduling_strategy="SPREAD")
    actors = [actor.remote(settings) for _ in range(size)]
    try:
        yield actors
    finally:
        for actor in actors:
            ray.kill(actor)


def results(actors: Sequence[Any], groups: Iterable[Sequence[Assignment]]) -> Iterator[str | None]:
    """Gives every group to an actor once, and yields after each group and at least every `GLANCE_SECONDS`.

    Yields:
        Why the job must stop, as an actor says (`Worker.separate`). None means that it may go on: a group is
        done, a group is lost with its actor, or nothing has happened.

    Raises:
        RayActorError: no actor is left, since none can be made; it has the reason.
    """
    ready, busy = {_ready(actor): actor for actor in actors}, dict[ray.ObjectRef, Any]()
    groups = iter(groups)
    group = next(groups, None)
    while group or busy:
        done, _ = ray.wait([*busy, *(ready if group else ())], timeout=GLANCE_SECONDS)
        if not done:
            yield None
        elif (reference := done[0]) in busy:
            actor = busy.pop(reference)
            ready[_ready(actor)] = actor
            yield _result(reference)
        else:
            actor = ready.pop(reference)
            try:
                ray.get(reference)
            except RayActorError:  # one that could not be made is never tried again
                log.exception("one actor less: it cannot be made")
                if not ready and not busy:
                    raise
            else:
                busy[actor.separate.remote(group)] = actor
                group = next(groups, None)


def _ready(actor: Any) -> ray.ObjectRef:
    """Returns what comes when the actor is there, however often it has to be started."""
    return actor.__ray_ready__.options(max_task_retries=-1).remote()


def _result(reference: ray.ObjectRef) -> str | None:
    """Returns what an actor says of its group; None if it died, and the group's tracks are lost with it."""
    try:
        return ray.get(reference)
    except RayTaskError:  # a mistake of ours
        raise
    except RayError as error:
        log.warning("an actor died: %s", error)
        return None
