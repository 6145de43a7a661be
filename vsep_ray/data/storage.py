"""Files anywhere: local paths, ``s3://`` and ``gs://`` URIs through `pyarrow.fs`.

A *URI* is a local path, ``file://...``, ``s3://bucket/key`` or ``gs://bucket/key``; a remote one may end in
the options of `pyarrow.fs.FileSystem.from_uri` (``?endpoint_override=host:port&scheme=http``). Keys are taken
as they are, without percent-encoding.
"""

import contextlib
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pyarrow import fs

from vsep_ray.config import UserError

REMOTE = ("s3", "gs", "gcs", "hdfs", "abfs", "abfss")
_URI = re.compile(
    r"(?P<scheme>[a-z0-9]+)://(?P<bucket>[^/?]*)/?(?P<key>.*?)(?P<options>\?[a-z_]+=.*)?", re.DOTALL
)


def is_remote(uri: str) -> bool:
    """Whether a URI names something that is not a local file.

    Example:
        >>> is_remote("s3://bucket/song.wav"), is_remote("/music/song.wav"), is_remote("file:///music")
        (True, False, False)
    """
    return "://" in uri and not uri.startswith("file://")


def open_filesystem(uri: str) -> tuple[fs.FileSystem, str]:
    """The file system of a URI and the path in it.

    Raises:
        UserError: a scheme that is not served, or a bucket that cannot be reached.
    """
    if not is_remote(uri):
        return fs.LocalFileSystem(), str(local_path(uri))
    scheme, bucket, key, options = _split(uri)
    if scheme not in REMOTE:
        raise UserError(
            f"{uri}: cannot open {scheme}://; use a local path or {', '.join(s + '://' for s in REMOTE)}"
        )
    try:
        system, root = fs.FileSystem.from_uri(f"{scheme}://{bucket}{options}")
    except (OSError, ValueError) as error:
        raise UserError(
            f"{uri}: cannot reach the bucket {bucket!r}: {error}; check its name and the credentials"
        ) from error
    return system, f"{root}/{key}".rstrip("/")


def local_path(uri: str) -> Path:
    """The path of a local URI, ``~`` expanded, absolute."""
    assert not is_remote(uri), uri
    return Path(uri.removeprefix("file://")).expanduser().absolute()


def join(uri: str, *parts: str) -> str:
    """A URI below another one.

    Example:
        >>> join("s3://bucket/a?region=eu", "b c", "d.wav")
        's3://bucket/a/b c/d.wav?region=eu'
        >>> join("/music", "a.wav")
        '/music/a.wav'
    """
    if not is_remote(uri):
        return str(local_path(uri).joinpath(*parts))
    scheme, bucket, key, options = _split(uri)
    return f"{scheme}://" + "/".join(p.strip("/") for p in (bucket, key, *parts) if p) + options


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


def sizes(uris: Sequence[str]) -> list[int]:
    """`size` of many files; remote ones are asked for side by side."""
    if not any(map(is_remote, uris)):
        return [size(uri) for uri in uris]
    with ThreadPoolExecutor(32) as pool:
        return list(pool.map(size, uris))


def list_files(uri: str) -> list[str]:
    """Paths relative to ``uri`` of all files below it, with ``/``, sorted; links are followed, loops cut.

    Broken links and entries that vanish meanwhile are listed too: somebody meant a file to be there.
    """
    if not is_remote(uri):
        return sorted(_walk(local_path(uri)))
    system, root = open_filesystem(uri)
    found = system.get_file_info(fs.FileSelector(root, recursive=True, allow_not_found=True))
    return sorted(f.path[len(root) :].lstrip("/") for f in found if f.type == fs.FileType.File)


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
        path = Path(folder, "copy" + Path(_split(uri)[2]).suffix)
        download(uri, path)
        yield path


@contextlib.contextmanager
def write_local(uri: str) -> Iterator[Path]:
    """A local path to write to, which becomes ``uri`` atomically when the block ends without an exception."""
    if is_remote(uri):
        with tempfile.TemporaryDirectory(prefix="vsep-") as folder:
            path = Path(folder, "copy" + Path(_split(uri)[2]).suffix)
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


def delete(uri: str) -> None:
    """Remove a file; nothing happens where there is none."""
    system, path = open_filesystem(uri)
    with contextlib.suppress(FileNotFoundError):
        system.delete_file(path)


def _split(uri: str) -> tuple[str, str, str, str]:
    match = _URI.fullmatch(uri)
    if match is None:
        raise UserError(f"{uri!r} is not a URI; expected a local path or scheme://bucket/key")
    return match["scheme"], match["bucket"], match["key"], match["options"] or ""


def _info(uri: str) -> fs.FileInfo:
    system, path = open_filesystem(uri)
    return system.get_file_info(path)


def _walk(root: Path) -> Iterator[str]:
    seen = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        stat = os.stat(folder)
        if (stat.st_dev, stat.st_ino) in seen:
            folders.clear()
            continue
        seen.add((stat.st_dev, stat.st_ino))
        folders.sort()  # which of two links to one folder is kept must not depend on the file system's order
        yield from (Path(folder, name).relative_to(root).as_posix() for name in names)


def _fsync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
