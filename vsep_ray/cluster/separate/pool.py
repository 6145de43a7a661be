"""A pool of actors for bulk separation: whoever is free does the next group of tracks.

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
"""How long a caller hears nothing at most."""


@contextlib.contextmanager
def pool(worker: type[Worker], settings: WorkerSettings, size: int, device: Device) -> Iterator[list[Any]]:
    """So many actors of a class of workers, one per CPU, and per GPU where there are GPUs; killed at the end,
    and then waiting for nothing: what they do not finish is as if they had not begun."""
    options: Any = {
        "num_cpus": 1,
        "num_gpus": min(1, capacity.gpus(device)),
        "max_restarts": -1,
        "scheduling_strategy": "SPREAD",
    }
    actors: list[Any] = [ray.remote(**options)(worker).remote(settings) for _ in range(size)]
    try:
        yield actors
    finally:
        for actor in actors:
            ray.kill(actor)


def results(actors: Sequence[Any], groups: Iterable[Sequence[Assignment]]) -> Iterator[str | None]:
    """Give every group to an actor once, and yield after each group and at least every `GLANCE_SECONDS`.

    Yields:
        Why the job must stop, as an actor says (`Worker.separate`), or None if it may go on: it may when a
        group is done, when a group is lost with its actor, and when nothing has happened.

    Raises:
        RayActorError: no actor is left, since none can be made; their reason.
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
        elif _is_alive(reference, last=len(ready) + len(busy) == 1):
            actor = ready.pop(reference)
            busy[actor.separate.remote(group)] = actor
            group = next(groups, None)
        else:
            del ready[reference]


def _ready(actor: Any) -> ray.ObjectRef:
    """What comes when the actor is there, however often it has to be started."""
    return actor.__ray_ready__.options(max_task_retries=-1).remote()


def _is_alive(ready: ray.ObjectRef, *, last: bool) -> bool:
    """Whether an actor could be made; one that could not is never tried again."""
    try:
        ray.get(ready)
    except RayActorError:
        log.exception("one actor less: it cannot be made")
        if last:
            raise
        return False
    return True


def _result(reference: ray.ObjectRef) -> str | None:
    """What an actor says of its group; None if it died: whoever called finds the group's tracks lost."""
    try:
        return ray.get(reference)
    except RayTaskError:  # a mistake of ours
        raise
    except RayError as error:
        log.warning("an actor died: %s", error)
        return None
