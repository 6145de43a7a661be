"""Files, local or in a bucket, are read, written and moved through `pyarrow.fs`."""

import contextlib
import errno
import os
import shutil
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from pyarrow import fs

from vsep_ray.storage.listing import is_directory, open_filesystem
from vsep_ray.storage.uris import is_remote, local_path, split


def read_bytes(uri: str) -> bytes:
    """Returns the content of a small file."""
    system, path = open_filesystem(uri)
    with system.open_input_stream(path) as stream:
        return stream.read()


def write_bytes(uri: str, content: bytes) -> None:
    """Writes a small file atomically: readers see the old content or the new one."""
    with write_local(uri) as path:
        path.write_bytes(content)


class _Copy:
    """A temporary copy of a remote file is fetched when it is first asked for."""

    def __init__(self, uri: str) -> None:
        self.uri, self.readers, self.fetched = uri, 0, False
        self.lock = threading.Lock()
        self.folder = tempfile.TemporaryDirectory(prefix="vsep-")
        self.path = Path(self.folder.name, "copy" + Path(split(uri)[2]).suffix)

    def fetch(self) -> Path:
        with self.lock:
            if not self.fetched:
                download(self.uri, self.path)
                self.fetched = True
            return self.path


_copies: dict[str, _Copy] = {}
_copies_lock = threading.Lock()


@contextlib.contextmanager
def read_local(uri: str) -> Iterator[Path]:
    """Yields a local path with the content of ``uri``: the file itself, or a temporary copy of a remote one.

    Readers at the same time, as of the five streams of one stem file, share a copy; it goes with the last.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if not is_remote(uri):
        yield local_path(uri)
        return
    with _copies_lock:
        copy = _copies[uri] if uri in _copies else _copies.setdefault(uri, _Copy(uri))
        copy.readers += 1
    try:
        yield copy.fetch()
    finally:
        with _copies_lock:
            copy.readers -= 1
            if not copy.readers:
                _copies.pop(uri).folder.cleanup()


@contextlib.contextmanager
def write_local(uri: str) -> Iterator[Path]:
    """Yields a local path to write to, which becomes ``uri`` atomically when the block ends without an
    exception.
    """
    if is_remote(uri):
        with tempfile.TemporaryDirectory(prefix="vsep-") as folder:
            path = Path(folder, "copy" + Path(split(uri)[2]).suffix)
            yield path
            upload(path, uri)
        return
    target = local_path(uri)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.parent / f".{uuid.uuid4().hex}.part"  # short: a name near 255 bytes must stay writable
    try:
        yield draft
        _fsync(draft)
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)


def download(uri: str, path: Path) -> None:
    """Copies a file or a directory to a local path."""
    system, source = open_filesystem(uri)
    (path if is_directory(uri) else path.parent).mkdir(parents=True, exist_ok=True)
    fs.copy_files(source, str(path), source_filesystem=system, destination_filesystem=fs.LocalFileSystem())


def temporary_root() -> Path:
    """Returns this user's folder for what a job keeps on a node's own disk (below ``TMPDIR``)."""
    return Path(tempfile.gettempdir(), f"vsep_ray-{os.getuid()}")


def fill(target: Path, make: Callable[[Path], Path]) -> Path:
    """Makes a local directory once, whole, even where several processes try to at once.

    Args:
        target: the directory; nothing is done where it is there.
        make: puts it, under any name, below the scratch folder that it is given, and returns it.
    """
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        made = make(Path(scratch))
        try:
            made.rename(target)
        except OSError:
            if not target.is_dir():  # unless another process was faster
                raise
    return target


def upload(path: Path, uri: str) -> None:
    """Copies a local file to a URI, atomically."""
    if not is_remote(uri):
        with write_local(uri) as draft:
            shutil.copyfile(path, draft)
        return
    system, target = open_filesystem(uri)
    fs.copy_files(str(path), target, source_filesystem=fs.LocalFileSystem(), destination_filesystem=system)


def publish(path: Path, uri: str) -> None:
    """Moves a local file to a URI, atomically; it is on the disk when this returns."""
    if is_remote(uri):
        upload(path, uri)
        return
    target = local_path(uri)
    target.parent.mkdir(parents=True, exist_ok=True)
    _fsync(path, forget=True)
    try:
        os.replace(path, target)
    except OSError as error:
        if error.errno != errno.EXDEV:  # another file system is mounted below the target
            raise
        upload(path, uri)


def delete(uri: str) -> None:
    """Removes a file; nothing happens where there is none."""
    system, path = open_filesystem(uri)
    with contextlib.suppress(FileNotFoundError):
        system.delete_file(path)


def delete_folder(uri: str) -> None:
    """Removes a folder with all that is in it; nothing happens where there is none."""
    system, path = open_filesystem(uri)
    with contextlib.suppress(FileNotFoundError):
        system.delete_dir(path)


def _fsync(path: Path, forget: bool = False) -> None:
    """Puts a file on the disk, and gives back the page cache of one that nobody reads soon. A catalog's stems
    would soon fill all memory, and on a virtual machine a page used for the first time costs more than what
    is copied into it.
    """
    with path.open("rb") as file:
        os.fsync(file.fileno())
        if forget and hasattr(os, "posix_fadvise"):  # macOS has no such call
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
