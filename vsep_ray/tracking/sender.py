"""The thread that sends a spool in the background, its breaker, and the replay of what others left."""

import logging
import threading
from collections.abc import Collection
from pathlib import Path

from vsep_ray.tracking.delivery import Delivery
from vsep_ray.tracking.spool import Spool, SpoolBusyError

log = logging.getLogger(__name__)
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0


class Sender:
    """Sends events as they come; after a failure it pauses, for a second at first, for a minute at most."""

    def __init__(self, spool: Spool, tracking_uri: str) -> None:
        self.delivery = Delivery(spool, tracking_uri)
        self._changed = threading.Condition()
        self._news = True
        self._failures = 0
        self._pause = 0.0
        self._idle = False
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Says that there are new events."""
        with self._changed:
            self._news, self._idle = True, False
            self._changed.notify_all()

    def wait(self, timeout_seconds: float) -> bool:
        """Waits until everything is sent (True), one more try has failed, or the time is over (False)."""
        with self._changed:
            failures, self._pause = self._failures, 0.0
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._idle or self._failures > failures, timeout_seconds)
            return self._idle

    def close(self, timeout_seconds: float) -> None:
        """Waits as `wait` does, stops, and removes the spool if all of it was sent."""
        done = self.wait(timeout_seconds)
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout=1.0)
        spool, uri = self.delivery.spool, self.delivery.tracking_uri
        if not done:
            log.warning(
                "not all of this run was sent to %s; it waits in %s for the next run that uses this spool",
                uri, spool.folder,
            )  # fmt: skip
        spool.close(remove=done)

    def _work(self) -> None:
        while not self._closing:
            self._news = False  # before reading: news that come while we send are seen in the next round
            try:
                busy = self.delivery.send_some()
            except Exception as error:  # whatever a server, a disk or a library raises must not end the work
                self._trip(error)
            else:
                self._rest(busy)

    def _trip(self, error: Exception) -> None:
        with self._changed:
            if self._closing:
                return
            self._failures += 1
            self._pause = min(max(2 * self._pause, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
            where = self.delivery.tracking_uri
            log.warning("tracking at %s failed, next try in %.0f s: %s", where, self._pause, error)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closing or self._pause == 0.0, self._pause)

    def _rest(self, busy: bool) -> None:
        with self._changed:
            self._pause = 0.0
            if busy or self._news:
                return
            self._idle = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._news or self._closing)


def replay(spool: Path | str, tracking_uri: str, alive: Collection[str] = ()) -> int:
    """Sends what processes that are gone left in a spool for this tracking store. Returns how many runs are
    now complete there.

    A run whose process ended without ending it is marked KILLED, unless its id is in ``alive``. Stops at the
    first failure.
    """
    complete = 0
    for folder in sorted(Path(spool).glob("local-*"), key=lambda f: f.stat().st_mtime):
        try:
            queue = Spool(folder)
        except (SpoolBusyError, FileNotFoundError):
            continue
        try:
            complete += _send_rest(queue, tracking_uri, alive)
        except Exception as error:
            log.warning("%s was not sent to %s: %s", folder, tracking_uri, error)
            break
        finally:
            queue.close()
    return complete


def _send_rest(queue: Spool, tracking_uri: str, alive: Collection[str]) -> bool:
    first, last = queue.ends()
    if first.get("tracking_uri", tracking_uri) != tracking_uri:
        return False
    delivery = Delivery(queue, tracking_uri)
    if first.get("kind") == "begin" and last["kind"] != "end" and delivery.run_id not in alive:
        queue.append({"kind": "end", "status": "KILLED"})
    while delivery.send_some():
        pass
    queue.close(remove=True)
    return True
