"""Every job says in one line how far it is: a bar in a terminal, else now and then a line in the log."""

import logging
import shutil
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import ray
from tqdm import tqdm

log = logging.getLogger(__name__)
LOOK_SECONDS = 1.0
"""A bar moves this often."""
FIRST_SECONDS, LONGEST_SECONDS = 15.0, 120.0
"""A log gets its first line after the first of these, and each further one when as much time again has gone
by, or the last of these: the log of a night is no book, and nobody waits for ten minutes in the dark."""
BAR = "{bar:16} {desc}"


@dataclass(frozen=True)
class Done:
    """What is done of some work.

    Attributes:
        count: units that are done.
        total: all units; 0 where nobody knows.
        words: what else there is to say, such as a loss.
    """

    count: float = 0.0
    total: float = 0.0
    words: str = ""


class Progress:
    """A context in which work goes on, and a thread says how far it is.

    Args:
        what: the work, in a word or two.
        unit: what is counted, in the plural.
        done: what is done when it begins; `tell` replaces it.
        look: asked for what is done in place of `tell`, from the thread, until it raises something.
    """

    def __init__(
        self, what: str, unit: str, done: Done = Done(), look: Callable[[], Done] | None = None
    ) -> None:
        self.what, self.unit, self.done, self._look = what, unit, done, look
        self._began = time.monotonic()
        self._first, self._next = (self._began, done.count), self._began + FIRST_SECONDS
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        if kind is None:
            self._ask()
        if kind is None and self.done.total:
            log.info("%s, %s", self.sentence(), duration(time.monotonic() - self._began))
        elif self.done.count:
            log.info("%s, not finished", self.sentence())

    def tell(self, count: float, words: str = "") -> None:
        """Says how much is done."""
        self._set(Done(count, self.done.total, words))

    def sentence(self, time_: str = "") -> str:
        """Returns what is done, in words, and a word on the time that it takes."""
        done, unit = self.done, self.unit
        counted = f"{unit} {done.count:,.0f}/{done.total:,.0f}" if done.total else ""
        return f"{self.what}: " + ", ".join(filter(None, [counted, time_, done.words]))

    def line(self) -> str:
        """Returns what is done, how fast, and how long it will take, in words."""
        now, (since, before) = time.monotonic(), self._first
        speed = (self.done.count - before) / max(1e-9, now - since)
        if speed <= 0 or not self.done.total:
            return self.sentence(f"for {duration(now - self._began)}")
        left = duration((self.done.total - self.done.count) / speed)
        return self.sentence(f"{left} left, {speed:.2g} {self.unit}/s")

    def _set(self, done: Done) -> None:
        if done.count > 0 >= self._first[1] or done.count < self._first[1]:
            self._first = (time.monotonic(), done.count)  # the start-up says nothing of the speed
        self.done = done

    def _ask(self) -> None:
        try:
            if self._look:
                self._set(self._look())
        except Exception:  # the work does not depend on what is said of it
            self._look = None
            log.warning("no more is said of how far %s is", self.what, exc_info=True)

    def _watch(self) -> None:
        terminal: dict[str, Any] = {"file": sys.stderr, "disable": not sys.stderr.isatty()}
        bar = tqdm(total=1.0, bar_format=BAR, leave=False, nrows=shutil.get_terminal_size().lines, **terminal)
        while not self._over.wait(LOOK_SECONDS):
            self._ask()
            self._show(bar)
        bar.close()

    def _show(self, bar: tqdm) -> None:
        if not bar.disable:
            bar.ncols = shutil.get_terminal_size().columns  # of an unknown size tqdm would show nothing
            bar.n = min(1.0, self.done.count / self.done.total) if self.done.total else 0.0
            bar.set_description_str(self.line())
        elif (now := time.monotonic()) > self._next:
            self._next = now + min(LONGEST_SECONDS, now - self._began)
            log.info(self.line())


def duration(seconds: float) -> str:
    """Returns a time in words.

    Example:
        >>> duration(41.3), duration(310), duration(8_000)
        ('41 s', '5 min', '2 h 13 min')
    """
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def gathered(tasks: Sequence[Any], what: str, unit: str) -> list[Any]:
    """Returns the results of Ray's tasks, in their order; meanwhile it is said how many there are.

    Args:
        tasks: references to results.
        what: the work, for the line of progress.
        unit: what each task is, in the plural.

    Raises:
        Exception: what a task raised; the others are not waited for.
    """
    if not tasks:
        return []
    waiting = list(tasks)
    with Progress(what, unit, Done(total=len(tasks))) as progress:
        while waiting:
            done, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=LOOK_SECONDS)
            ray.get(done)
            progress.tell(len(tasks) - len(waiting))
    return ray.get(list(tasks))
