"""Numbers that change over the steps of a training run: learning rate, noise level, sleep fraction."""

import math
from dataclasses import dataclass
from typing import Literal

from vsep_ray.config import UserError


@dataclass(frozen=True)
class Schedule:
    """A value that goes from ``start`` to ``end`` over ``steps`` steps and is constant afterwards.

    Raises:
        UserError: an end of a geometric schedule is not positive.

    Example:
        >>> [round(Schedule(1.0, 0.01, 2, "geometric")(i), 3) for i in range(4)]
        [1.0, 0.1, 0.01, 0.01]
    """

    start: float = 1.0
    """The schedule has this value at step 0."""
    end: float = 1.0
    """The schedule has this value from step ``steps`` on."""
    steps: int = 1
    """The schedule takes this number of optimiser steps from start to end."""
    shape: Literal["linear", "geometric"] = "linear"
    """Values between the ends are interpolated linearly or geometrically; geometric needs positive ends."""

    def __post_init__(self) -> None:
        if self.shape == "geometric" and min(self.start, self.end) <= 0:
            raise UserError(f"a geometric schedule needs positive ends, got {self.start} and {self.end}")

    def idle(self) -> dict[str, str]:
        """Returns the fields that do not act between equal ends, and the cure."""
        why = "its start and end are equal; set one of them too"
        return {"steps": why, "shape": why} if self.start == self.end else {}

    def __call__(self, step: int) -> float:
        """Returns the value at a step."""
        t = min(step / max(self.steps, 1), 1.0)
        if self.shape == "geometric":
            return self.start * (self.end / self.start) ** t
        return self.start + (self.end - self.start) * t


def warmup_cosine(step: int, steps: int, warmup: int) -> float:
    """Returns the factor of the learning rate: a linear warm-up from 0, then half a cosine down to 1 % at
    ``steps``.

    Reference: Loshchilov & Hutter, SGDR, 2017, eq. 5.

    Example:
        >>> round(warmup_cosine(100, 100, 10), 3)
        0.01
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    t = min((step - warmup) / max(steps - warmup, 1), 1.0)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * t))


def warmup_decay(step: int, steps: int, warmup: int, decay: int) -> float:
    """Returns the factor of the learning rate: a linear warm-up from 0, then 1, then 1 - sqrt(t) over the
    last ``decay`` steps, t in [0, 1]. A training that stops before its decay goes on as if it had not.

    Reference: Hagele et al., Scaling laws and compute-optimal training beyond fixed training durations, 2024,
    eq. 2.

    Example:
        >>> [round(warmup_decay(step, 100, 10, 20), 2) for step in (0, 50, 85, 100)]
        [0.09, 1.0, 0.5, 0.0]
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 1 - math.sqrt(min(max(step - (steps - decay), 0) / decay, 1.0))
