"""A queue of small JSON events and the files that go with them, on local disk, that outlives its process."""

import json
import logging
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vsep_ray.storage.locks import try_lock

log = logging.getLogger(__name__)
SENT = "sent"


class SpoolBusyError(RuntimeError):
    """Another process, or another spool of this one, has this folder open."""


class Spool:
    """The append-only events of one writer, with a mark up to where they were sent.

    ``<folder>/events.jsonl`` has one event per line, ``<folder>/files/`` the copied files, ``<folder>/sent``
    the number of bytes that were sent. The event log is locked while it is open, and the lock falls with the
    process: a folder that can be opened has lost its writer.
    """

    def __init__(self, folder: Path) -> None:
        """Opens or creates the folder.

        Raises:
            SpoolBusyError: another spool has the folder open, or its last user removed it just now.
        """
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:  # it was there, and a moment later it was not
            raise SpoolBusyError(f"{folder} was removed, or is no folder") from error
        log_file = try_lock(folder / "events.jsonl")
        if log_file is None:
            raise SpoolBusyError(f"{folder} is in use, or was removed")
        self._log, self._lock = log_file, threading.Lock()
        self._log.seek(0)
        # a writer that was killed may have left half a line
        self._log.truncate(self._log.read().rfind(b"\n") + 1)
        self._sent = int(self.note(SENT) or 0)

    @classmethod
    def create(cls, folder: Path) -> "Spool":
        """Returns a new spool, which gets its name once it is locked, lest a replay take it for one left
        behind.
        """
        spool = cls(folder.with_name(f".{folder.name}"))
        spool.folder = spool.folder.rename(folder)
        return spool

    def append(self, event: dict[str, Any]) -> None:
        """Writes one event and its time (ms), which are in the file when this returns."""
        stamped = {**event, "time": int(time.time() * 1000)}
        with self._lock:  # "a+" writes at the end wherever reading has left the position
            self._log.write(json.dumps(stamped).encode() + b"\n")
            self._log.flush()

    def keep(self, name: str, write: Callable[[Path], Any]) -> str:
        """Has a file or a folder of this name written below ``files/``, in a folder of its own, so that names
        do not collide; returns its path there.
        """
        with self._lock:
            files = self.folder / "files"
            files.mkdir(exist_ok=True)
            parent = files / f"{len(list(files.iterdir())):06d}"
            parent.mkdir()
        write(parent / name)
        return f"{parent.name}/{name}"

    def file(self, relative: str) -> Path:
        """Returns the whole path of what `keep` made."""
        return self.folder / "files" / relative

    def unsent(self, limit: int) -> list[tuple[dict[str, Any], int]]:
        """Returns the next events, at most ``limit``, each with the mark that `mark_sent` takes once it was
        sent.
        """
        events = []
        with self._lock:
            self._log.seek(self._sent)
            for _ in range(limit):
                line = self._log.readline()
                if not line:
                    break
                events.append((json.loads(line), self._log.tell()))
        return events

    def ends(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Returns the first and the last event of all, sent or not, ``{}`` where there is none."""
        with self._lock:
            self._log.seek(0)
            lines = self._log.read().splitlines() or [b"{}"]
        return json.loads(lines[0]), json.loads(lines[-1])

    def mark_sent(self, mark: int) -> None:
        """Remembers that all events up to ``mark`` were sent."""
        self._sent = mark
        self.write_note(SENT, str(mark))

    def note(self, name: str) -> str:
        """Returns the text of a note beside the events, ``""`` where there is none."""
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    def write_note(self, name: str, text: str) -> None:
        """Writes a note beside the events, atomically."""
        partial = self.folder / f"{name}.partial"
        partial.write_text(text)
        partial.replace(self.folder / name)

    def close(self, *, remove: bool = False) -> None:
        """Frees the folder for others, or removes it."""
        if remove:
            shutil.rmtree(self.folder, ignore_errors=True)
        self._log.close()


def new_spool(root: Path | str) -> Spool:
    """Returns a fresh spool below ``root``, or, with a warning, below a temporary folder where ``root``
    cannot be written.
    """
    name = f"local-{uuid.uuid4().hex[:12]}"
    try:
        return Spool.create(Path(root, name))
    except OSError as error:
        log.warning("cannot spool tracking in %s (%s); a temporary folder is used", root, error)
        return Spool.create(Path(tempfile.mkdtemp(), name))
