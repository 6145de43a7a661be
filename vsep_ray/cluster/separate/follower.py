"""A catalog run is followed by what its actors commit to the ledger."""

import logging
import time

import pyarrow.compute as pc

from vsep_ray.audio.formats import Failure
from vsep_ray.catalog.ledger import MERGE, Ledger, new_name
from vsep_ray.cluster.runtime.progress import Done, duration
from vsep_ray.cluster.separate.breaker import Breaker
from vsep_ray.tracking import Tracker

log = logging.getLogger(__name__)
GLANCE_SECONDS = 0.5
"""This time passes between two looks at the ledger, each of which is a request to a bucket."""
REPORT_SECONDS = 5.0
"""This time passes between two values of a metric."""


class Follower:
    """Reads new rows of the ledger, for the line of progress, for metrics, and for the breaker.

    Attributes:
        done: tracks with a row of this run.
        audio_seconds: audio of the tracks that were separated.
        stop: why the job must stop, since too many tracks in a row failed alike; None while it may go on.
    """

    def __init__(self, ledger: Ledger, run: str, total: int, tracker: Tracker, max_alike: int) -> None:
        self.ledger, self.run, self.total, self.tracker = ledger, run, total, tracker
        self.done, self.audio_seconds = 0, 0.0
        self.stop: str | None = None
        self._breaker, self._seen, self._unmerged = Breaker(max_alike), set(ledger.parts()), list[str]()
        self._started = self._reported = time.perf_counter()
        self._polled = 0.0

    @property
    def realtime_factor(self) -> float:
        """Seconds of audio per second so far, start-up included."""
        return self.audio_seconds / max(1e-9, time.perf_counter() - self._started)

    def look(self) -> Done:
        """Returns what is done."""
        audio = f"{duration(self.audio_seconds)} of audio, {self.realtime_factor:.1f} x real time"
        return Done(self.done, self.total, audio if self.audio_seconds else "")

    def glance(self, at_once: bool = False) -> None:
        """Reads what is new and reports it, unless that was done a moment ago and need not be ``at_once``."""
        now = time.perf_counter()
        if at_once or now - self._polled > GLANCE_SECONDS:
            try:
                self.poll()
            except OSError as error:  # a store that does not answer now may do so in a moment
                log.warning("cannot read the ledger: %s", error)
        if now - self._reported > REPORT_SECONDS:
            self._reported = now
            values = {"tracks_done": self.done, "progress_realtime_factor": self.realtime_factor}
            self.tracker.metrics(values, self.done)

    def poll(self) -> None:
        """Reads what is new."""
        new = [name for name in self.ledger.parts() if name not in self._seen]
        table = self.ledger.read_parts(new)
        table = table.filter(pc.equal(table["run"], self.run)).sort_by("time")
        self._polled = time.perf_counter()
        self.done += len(table)
        self.audio_seconds += pc.sum(table["audio_seconds"]).as_py() or 0.0
        for row in table.select(["track", "stage", "message"]).to_pylist():
            failure = Failure(row["stage"], row["message"]) if row["stage"] else None
            self.stop = self.stop or self._breaker.feed(row["track"], failure)
        self._seen.update(new)
        self._unmerged += new
        if len(self._unmerged) >= MERGE:
            unmerged, self._unmerged = self._unmerged, []
            target = new_name("merged")
            self._seen.add(target)
            self.ledger.merge(unmerged, target)
