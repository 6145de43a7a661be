"""Files on their way to their place lie in folders that do not outlive their process for long."""

import contextlib
import fcntl
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from io import BufferedRandom
from pathlib import Path


class Staging:
    """A folder of this process below ``root``; whoever comes later can tell when its owner is gone.

    The owner holds a lock on a file beside the folder, and the lock falls with the process.
    """

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._lock = None
        while self._lock is None:
            self.folder = root / f"staging-{uuid.uuid4().hex}"
            self._lock = try_lock(_lock_file(self.folder))
        self.folder.mkdir()

    def close(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        _lock_file(self.folder).unlink(missing_ok=True)
        if self._lock:
            self._lock.close()


def remove_abandoned(root: Path) -> int:
    """Removes the folders below ``root`` whose owners are gone; returns how many others are still in use."""
    busy = 0
    for path in sorted(root.glob("staging-*.lock")):
        lock = try_lock(path)
        if lock is None:
            busy += 1
            continue
        with lock:
            shutil.rmtree(path.with_suffix(""), ignore_errors=True)
            path.unlink(missing_ok=True)
    return busy


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[bool]:
    """Yields whether no other process is inside this block for the same path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = try_lock(path)
    try:
        yield lock is not None
    finally:
        if lock:
            path.unlink(missing_ok=True)
            lock.close()


def locks_work(folder: Path) -> bool:
    """Returns whether the folder's file system has locks; some that are mounted over a network do not."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def try_lock(path: Path) -> BufferedRandom | None:
    """Returns the opened and locked file, None where another process holds it or has just removed it."""
    file = path.open("a+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(path.stat(), os.fstat(file.fileno())):
            return file
    except (BlockingIOError, FileNotFoundError):
        pass
    file.close()
    return None


def _lock_file(folder: Path) -> Path:
    return folder.with_suffix(".lock")
