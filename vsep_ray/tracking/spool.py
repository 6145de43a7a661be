"""A queue of small JSON events and the files that go with them, on local disk, that outlives its process."""

import fcntl
import json
import logging
import os
import shutil
import tempfile
import threading
import uuid
from pathlib import Path
from typing import Any

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
            SpoolBusyError: another spool has the folder open.
        """
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:  # it was there, and a moment later it was not
            raise SpoolBusyError(f"{folder} was removed, or is no folder") from error
        self._lock = threading.Lock()
        self._log = (folder / "events.jsonl").open("a+b")
        try:
            fcntl.flock(self._log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._log.close()
            raise SpoolBusyError(f"{folder} is in use") from error
        if not self._is_there():  # its last user removed it between our opening and our locking
            self._log.close()
            raise SpoolBusyError(f"{folder} was removed")
        self._cut_torn_line()
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
        """Writes one event, which is in the file when this returns."""
        with self._lock:  # "a+" writes at the end wherever reading has left the position
            self._log.write(json.dumps(event).encode() + b"\n")
            self._log.flush()

    def keep(self, path: Path) -> str:
        """Copies a file or a folder into the spool; returns its path below ``files/``."""
        target = self.new_file(path.name)
        if path.is_dir():
            shutil.copytree(path, target)
        else:
            shutil.copyfile(path, target)
        return str(target.relative_to(self.folder / "files"))

    def new_file(self, name: str) -> Path:
        """Returns a path below ``files/`` for the caller to write, in a folder of its own, so that names do
        not collide.
        """
        with self._lock:
            files = self.folder / "files"
            files.mkdir(exist_ok=True)
            parent = files / f"{len(os.listdir(files)):06d}"
            parent.mkdir()
        return parent / name

    def file(self, relative: str) -> Path:
        """Returns the path of what `keep` or `new_file` made."""
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
        """Gives the folder free for others, or removes it."""
        if remove:
            shutil.rmtree(self.folder, ignore_errors=True)
        self._log.close()

    def _is_there(self) -> bool:
        path = self.folder / "events.jsonl"
        return path.exists() and os.path.samestat(path.stat(), os.fstat(self._log.fileno()))

    def _cut_torn_line(self) -> None:
        """Cuts off half a line, which a writer that was killed may have left."""
        self._log.seek(0)
        content = self._log.read()
        self._log.truncate(content.rfind(b"\n") + 1)


def new_spool(root: Path | str) -> Spool:
    """Returns a fresh spool below ``root``, or, with a warning, below a temporary folder where ``root``
    cannot be written.
    """
    name = f"local-{uuid.uuid4().hex[:12]}"
    try:
        return Spool.create(_local(root) / name)
    except OSError as error:
        log.warning("cannot spool tracking in %s (%s); a temporary folder is used", root, error)
        return Spool.create(Path(tempfile.mkdtemp()) / name)


def _local(root: Path | str) -> Path:
    return Path(tempfile.gettempdir()) / "vsep_spool" if "://" in str(root) else Path(root)
