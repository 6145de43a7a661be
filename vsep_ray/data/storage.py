"""Files anywhere: local paths, ``s3://`` and ``gs://`` URIs through `pyarrow.fs` (`vsep_ray.data.names`)."""

import contextlib
import errno
import functools
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pyarrow import fs

from vsep_ray.config import UserError
from vsep_ray.data.names import (
    absolute,
    is_leftover,
    is_remote,
    join,
    local_path,
    parent,
    printable,
    relative,
    split,
    suffix,
)

__all__ = [
    "absolute", "delete", "download", "exists", "is_directory", "is_leftover", "is_remote", "join",
    "list_files", "list_folder", "local_path", "open_filesystem", "parent", "printable", "publish",
    "read_bytes", "read_local", "relative", "size", "sizes", "stamps", "suffix", "upload", "write_bytes",
    "write_local",
]  # fmt: skip
REMOTE = ("s3", "gs", "gcs", "hdfs", "abfs", "abfss")


def open_filesystem(uri: str) -> tuple[fs.FileSystem, str]:
    """The file system of a URI and the path in it.

    Raises:
        UserError: a scheme that is not served, or a bucket that cannot be reached.
    """
    if not is_remote(uri):
        return fs.LocalFileSystem(), str(local_path(uri))
    scheme, bucket, key, options = split(uri)
    system, root = _open_bucket(scheme, bucket, options)
    return system, f"{root}/{key}".rstrip("/")


@functools.lru_cache(maxsize=64)
def _open_bucket(scheme: str, bucket: str, options: str) -> tuple[fs.FileSystem, str]:
    if scheme not in REMOTE:
        known = ", ".join(s + "://" for s in REMOTE)
        raise UserError(f"{scheme}://{bucket}: cannot open {scheme}://; use a local path or {known}")
    try:
        return fs.FileSystem.from_uri(f"{scheme}://{bucket}{options}")
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot reach the bucket {scheme}://{bucket}: {error}; check its name and the credentials"
        ) from error


def exists(uri: str) -> bool:
    """Whether there is a file or a directory."""
    return _info(uri).type != fs.FileType.NotFound


def is_directory(uri: str) -> bool:
    """Whether there is a directory (in object stores: a prefix with something below it)."""
    return _info(uri).type == fs.FileType.Directory


def size(uri: str) -> int:
    """Bytes of a file; -1 where there is none."""
    info = _info(uri)
    return info.size if info.type == fs.FileType.File else -1


def stamps(uris: Sequence[str]) -> list[tuple[int, int]]:
    """Bytes and time of the last change (ns since 1970) of many files, (-1, 0) where there is none; remote
    ones are asked for side by side."""
    if not any(map(is_remote, uris)):
        found = fs.LocalFileSystem().get_file_info([str(local_path(uri)) for uri in uris])
        return [_stamp(info) for info in found]
    with ThreadPoolExecutor(32) as pool:
        return [_stamp(info) for info in pool.map(_info, uris)]


def sizes(uris: Sequence[str]) -> list[int]:
    """Bytes of many files, -1 where there is none."""
    return [size for size, _ in stamps(uris)]


def list_files(uri: str) -> list[str]:
    """Paths relative to ``uri`` of all files below it, with ``/``, sorted; links are followed, loops cut.

    Broken links and entries that vanish meanwhile are listed too: somebody meant a file to be there.
    """
    if not is_remote(uri):
        return sorted(_walk(local_path(uri)))
    system, root = open_filesystem(uri)
    found = system.get_file_info(fs.FileSelector(root, recursive=True, allow_not_found=True))
    return sorted(f.path[len(root) :].lstrip("/") for f in found if f.type == fs.FileType.File)


def list_folder(uri: str) -> list[str]:
    """Names of the files in a folder itself, sorted; none where there is no such folder."""
    system, root = open_filesystem(uri)
    found = system.get_file_info(fs.FileSelector(root, allow_not_found=True))
    return sorted(f.base_name for f in found if f.type == fs.FileType.File)


def read_bytes(uri: str) -> bytes:
    """The content of a small file."""
    system, path = open_filesystem(uri)
    with system.open_input_stream(path) as stream:
        return stream.read()


def write_bytes(uri: str, content: bytes) -> None:
    """Write a small file atomically: readers see the old content or the new one."""
    with write_local(uri) as path:
        path.write_bytes(content)


@contextlib.contextmanager
def read_local(uri: str) -> Iterator[Path]:
    """A local path with the content of ``uri``: the file itself, or a temporary copy of a remote one.

    Raises:
        FileNotFoundError: no such file.
    """
    if not is_remote(uri):
        yield local_path(uri)
        return
    with tempfile.TemporaryDirectory(prefix="vsep-") as folder:
        path = Path(folder, "copy" + Path(split(uri)[2]).suffix)
        download(uri, path)
        yield path


@contextlib.contextmanager
def write_local(uri: str) -> Iterator[Path]:
    """A local path to write to, which becomes ``uri`` atomically when the block ends without an exception."""
    if is_remote(uri):
        with tempfile.TemporaryDirectory(prefix="vsep-") as folder:
            path = Path(folder, "copy" + Path(split(uri)[2]).suffix)
            yield path
            upload(path, uri)
        return
    target = local_path(uri)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.parent / f".{uuid.uuid4().hex}.part"  # short: a name near 255 bytes must stay writable
    try:
        yield part
        _fsync(part)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def download(uri: str, path: Path) -> None:
    """Copy a file or a directory to a local path."""
    system, source = open_filesystem(uri)
    folder = path if is_directory(uri) else path.parent
    folder.mkdir(parents=True, exist_ok=True)
    fs.copy_files(source, str(path), source_filesystem=system, destination_filesystem=fs.LocalFileSystem())


def upload(path: Path, uri: str) -> None:
    """Copy a local file to a URI, atomically."""
    if not is_remote(uri):
        with write_local(uri) as part:
            shutil.copyfile(path, part)
        return
    system, target = open_filesystem(uri)
    with path.open("rb") as source, system.open_output_stream(target) as sink:
        shutil.copyfileobj(source, sink, 8 << 20)


def publish(path: Path, uri: str) -> None:
    """Move a local file to a URI, atomically; it is on the disk when this returns."""
    if is_remote(uri):
        upload(path, uri)
        return
    target = local_path(uri)
    target.parent.mkdir(parents=True, exist_ok=True)
    _fsync(path)
    _forget(path)
    try:
        os.replace(path, target)
    except OSError as error:
        if error.errno != errno.EXDEV:  # another file system is mounted below the target
            raise
        upload(path, uri)


def delete(uri: str) -> None:
    """Remove a file; nothing happens where there is none."""
    system, path = open_filesystem(uri)
    with contextlib.suppress(FileNotFoundError):
        system.delete_file(path)


def _info(uri: str) -> fs.FileInfo:
    system, path = open_filesystem(uri)
    return system.get_file_info(path)


def _stamp(info: fs.FileInfo) -> tuple[int, int]:
    return (info.size, info.mtime_ns or 0) if info.type == fs.FileType.File else (-1, 0)


def _walk(root: Path) -> Iterator[str]:
    seen = set()
    for folder, folders, names in os.walk(root, followlinks=True, onerror=_unreadable):
        try:
            stat = os.stat(folder)
        except FileNotFoundError:  # gone since it was listed
            continue
        if (stat.st_dev, stat.st_ino) in seen:
            folders.clear()
            continue
        seen.add((stat.st_dev, stat.st_ino))
        folders.sort()  # which of two links to one folder is kept must not depend on the file system's order
        yield from (Path(folder, name).relative_to(root).as_posix() for name in names)


def _unreadable(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise UserError(f"cannot read the folder {error.filename}: {error.strerror}") from error


def _fsync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _forget(path: Path) -> None:
    """Give back the page cache of a file that nobody reads soon: a catalog's stems would soon fill all
    memory, and on a virtual machine a page used for the first time costs more than what is copied into it."""
    if hasattr(os, "posix_fadvise"):  # macOS has no such call
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
