"""Tasks are waited for with a word on how far they are."""

import logging
from collections.abc import Sequence
from typing import Any

import ray

log = logging.getLogger(__name__)
EVERY_SECONDS = 10.0
"""A line of progress follows another after this time."""


def gathered(tasks: Sequence[Any], what: str) -> list[Any]:
    """Returns the results of Ray's tasks, in their order; meanwhile the log says how many there are.

    Args:
        tasks: references to results.
        what: what the results are, for the log.

    Raises:
        Exception: what a task raised; the others are not waited for.
    """
    waiting = list(tasks)
    while waiting:
        done, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=EVERY_SECONDS)
        ray.get(done)
        if waiting:
            log.info("%s: %d of %d", what, len(tasks) - len(waiting), len(tasks))
    return ray.get(list(tasks))
