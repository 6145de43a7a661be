"""Training workers post how far they are; the driver, wherever it is, reads it and says so."""

import contextlib
import json
import logging
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from vsep_ray.cluster.runtime import ray_private
from vsep_ray.cluster.runtime.progress import Done, Progress

log = logging.getLogger(__name__)
POST_SECONDS = 1.0
"""A worker posts at most this often."""


@dataclass
class Board:
    """One training's place on the board.

    Attributes:
        group: the job's trainings, which are watched as one.
        name: the run's.
        words: what there is to say beside the step.
        alarms: sentences that somebody should read, the first of each kind.
    """

    group: str
    name: str
    words: str = ""
    alarms: dict[str, str] = field(default_factory=dict)
    _posted: float = 0.0

    def alarm(self, sentence: str, step: int) -> None:
        """Keeps a sentence, unless one was kept that differs in numbers alone."""
        self.alarms.setdefault(re.sub(r"\d", "", sentence), f"{self.name}, step {step}: {sentence}")

    def post(self, step: int) -> None:
        """Says that this number of steps is done."""
        self._posted = time.monotonic()
        value = {"step": step, "words": self.words, "alarms": list(self.alarms.values())}
        ray_private.post(f"{self.group}/{self.name}", json.dumps(value).encode())

    def counted(self, batches: Iterator[Any], first: int) -> Iterator[Any]:
        """Yields the batches of the steps from ``first`` on, and posts which step it is, now and then."""
        for step, batch in enumerate(batches, first):
            if time.monotonic() - self._posted > POST_SECONDS:
                self.post(step)
            yield batch


@contextlib.contextmanager
def watched(group: str, what: str, steps: int) -> Iterator[None]:
    """A context in which the trainings of a group go on, and their progress and alarms are said.

    Args:
        group: as they post it.
        what: the work, in a word or two.
        steps: of all of them together.
    """
    ray_private.take_down(f"{group}/")  # an earlier job of this cluster may have left its own
    told = set[str]()

    def look() -> Done:
        found = {k: json.loads(v) for k, v in ray_private.posted(f"{group}/").items()}
        for sentence in (s for post in found.values() for s in post["alarms"] if s not in told):
            told.add(sentence)
            log.warning(sentence)
        words = next(iter(found.values()))["words"] if len(found) == 1 else ""
        return Done(sum(post["step"] for post in found.values()), steps, words)

    with Progress(what, "steps", Done(total=steps), look):
        yield
    ray_private.take_down(f"{group}/")
