"""Following a catalog run by what its actors commit to the ledger."""

import logging
import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from vsep_ray.audio.formats import Failure
from vsep_ray.catalog.ledger import MERGE, Ledger, new_name
from vsep_ray.cluster.separate.breaker import Breaker
from vsep_ray.tracking import Tracker

log = logging.getLogger(__name__)
GLANCE_SECONDS = 0.5
"""Between two looks at the ledger, which is a request to a bucket."""


class Progress:
    """Reads new ledger rows every few seconds: a line in the log, metrics, and the breaker.

    Attributes:
        done: tracks with a row of this run.
        audio_seconds: of those that were separated.
        stop: why the job must stop: too many tracks in a row failed alike; None while it may go on.
    """

    def __init__(
        self, ledger: Ledger, run: str, total: int, tracker: Tracker, max_alike: int, seconds: float = 5.0
    ) -> None:
        self.ledger, self.run, self.total, self.tracker, self.seconds = ledger, run, total, tracker, seconds
        self.done, self.audio_seconds = 0, 0.0
        self.stop: str | None = None
        self._breaker, self._seen, self._unmerged = Breaker(max_alike), set(ledger.parts()), list[str]()
        self._started, self._first, self._polled = time.perf_counter(), (0.0, 0), 0.0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        if kind is None:
            self.poll()

    @property
    def realtime_factor(self) -> float:
        """Seconds of audio per second so far, start-up included."""
        return self.audio_seconds / max(1e-9, time.perf_counter() - self._started)

    def line(self) -> str:
        """The state in words."""
        since, before = self._first
        speed = (self.done - before) / max(1e-9, time.perf_counter() - since) if self.done > before else 0.0
        left = f"{_words((self.total - self.done) / speed)} left" if speed else "no estimate yet"
        hours = f"{self.audio_seconds / 3600:.2f} h of audio"
        return f"{self.done}/{self.total} tracks, {hours}, {self.realtime_factor:.1f} x real time, {left}"

    def glance(self) -> None:
        """Read what is new, unless that was done a moment ago."""
        if time.perf_counter() - self._polled > GLANCE_SECONDS:
            self._try_poll()

    def poll(self) -> None:
        """Read what is new."""
        with self._lock:
            self._read_new()
            self._polled = time.perf_counter()

    def _read_new(self) -> None:
        new = [name for name in self.ledger.parts() if name not in self._seen]
        table = self.ledger.read_parts(new)
        table = table.filter(pc.equal(table["run"], self.run)).sort_by("time")
        if not self.done and len(table):
            self._first = (time.perf_counter(), len(table))
        self.done += len(table)
        self.audio_seconds += pc.sum(table["audio_seconds"]).as_py() or 0.0
        for track, failure in _outcomes(table):
            self.stop = self.stop or self._breaker.feed(track, failure)
        self._seen.update(new)
        self._unmerged += new
        if len(self._unmerged) >= MERGE:
            unmerged, self._unmerged = self._unmerged, []
            target = new_name("merged")
            self._seen.add(target)
            self.ledger.merge(unmerged, target)

    def _try_poll(self) -> None:
        try:
            self.poll()
        except OSError as error:  # a store that does not answer now may do so in five seconds
            log.warning("cannot read the ledger: %s", error)

    def _work(self) -> None:
        while not self._ended.wait(self.seconds):
            self._try_poll()
            log.info(self.line())
            values = {"tracks_done": self.done, "progress_realtime_factor": self.realtime_factor}
            self.tracker.metrics(values, self.done)


def _outcomes(table: pa.Table) -> Iterable[tuple[str, Failure | None]]:
    """Tracks and their failures in the order of a table; if all are good, one track stands for a million."""
    if not pc.any(pc.equal(table["status"], "failed")).as_py():
        return [("", None)] if len(table) else []
    rows = table.select(["track", "stage", "message"]).to_pylist()
    return [(row["track"], Failure(row["stage"], row["message"]) if row["stage"] else None) for row in rows]


def _words(seconds: float) -> str:
    """A duration.

    Example:
        >>> _words(50), _words(5000)
        ('50 s', '1 h 23 min')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
