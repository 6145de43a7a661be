"""Files and folders of local paths and buckets are looked at and listed here."""

import functools
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pyarrow import fs

from vsep_ray.config import UserError
from vsep_ray.storage.uris import is_remote, local_path, split

REMOTE = ("s3", "gs", "gcs", "hdfs", "abfs", "abfss")


def open_filesystem(uri: str) -> tuple[fs.FileSystem, str]:
    """Returns the file system of a URI and the path in it.

    Raises:
        UserError: the scheme is not served, or the bucket cannot be reached.
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
    """Returns whether there is a file or a directory."""
    return _info(uri).type != fs.FileType.NotFound


def is_directory(uri: str) -> bool:
    """Returns whether there is a directory (in object stores: a prefix with something below it)."""
    return _info(uri).type == fs.FileType.Directory


def size(uri: str) -> int:
    """Returns the bytes of a file, -1 where there is none."""
    return stamps([uri])[0][0]


def stamps(uris: Sequence[str]) -> list[tuple[int, int]]:
    """Returns bytes and time of the last change (ns since 1970) of many files, (-1, 0) where there is none.
    Remote ones are asked for side by side.
    """
    if not any(map(is_remote, uris)):
        found = fs.LocalFileSystem().get_file_info([str(local_path(uri)) for uri in uris])
        return [_stamp(info) for info in found]
    with ThreadPoolExecutor(32) as pool:
        return [_stamp(info) for info in pool.map(_info, uris)]


def list_files(uri: str) -> list[str]:
    """Returns the paths relative to ``uri`` of all files below it, with ``/``, sorted; links are followed,
    loops cut.

    Broken links and entries that vanish meanwhile are listed too: somebody meant a file to be there.
    """
    if not is_remote(uri):
        return sorted(_walk(local_path(uri)))
    system, root = open_filesystem(uri)
    found = system.get_file_info(fs.FileSelector(root, recursive=True, allow_not_found=True))
    return sorted(f.path[len(root) :].lstrip("/") for f in found if f.type == fs.FileType.File)


def list_folder(uri: str) -> list[str]:
    """Returns the names of the files in a folder itself, sorted; none where there is no such folder."""
    system, root = open_filesystem(uri)
    found = system.get_file_info(fs.FileSelector(root, allow_not_found=True))
    return sorted(f.base_name for f in found if f.type == fs.FileType.File)


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
