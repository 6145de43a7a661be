"""URIs and file names as text: nothing is opened here.

A *URI* is a local path, ``file://...``, ``s3://bucket/key`` or ``gs://bucket/key``; a remote one may end in
the options of `pyarrow.fs.FileSystem.from_uri` (``?endpoint_override=host:port&scheme=http``). Keys are taken
as they are, without percent-encoding.
"""

import re
from pathlib import Path, PurePosixPath

from vsep_ray.config import UserError

_URI = re.compile(
    r"(?P<scheme>[a-z0-9]+)://(?P<bucket>[^/?]*)/?(?P<key>.*?)(?P<options>\?[a-z_]+=.*)?", re.DOTALL
)


def is_remote(uri: str) -> bool:
    """Returns whether a URI names something that is not a local file.

    Example:
        >>> is_remote("s3://bucket/song.wav"), is_remote("/music/song.wav"), is_remote("file:///music")
        (True, False, False)
    """
    return "://" in uri and not uri.startswith("file://")


def absolute(uri: str) -> str:
    """Returns a URI that means the same on workers, which have another working directory."""
    return uri if is_remote(uri) else str(local_path(uri))


def local_path(uri: str) -> Path:
    """Returns the path of a local URI, ``~`` expanded, absolute."""
    assert not is_remote(uri), uri
    return Path(uri.removeprefix("file://")).expanduser().absolute()


def join(uri: str, *parts: str) -> str:
    """Returns a URI below another one.

    Example:
        >>> join("s3://bucket/a?region=eu", "b c", "d.wav")
        's3://bucket/a/b c/d.wav?region=eu'
        >>> join("/music", "a.wav")
        '/music/a.wav'
    """
    if not is_remote(uri):
        return str(local_path(uri).joinpath(*parts))
    scheme, bucket, key, options = split(uri)
    return f"{scheme}://" + "/".join(p.strip("/") for p in (bucket, key, *parts) if p) + options


def parent(uri: str) -> str:
    """Returns the folder of a file.

    Example:
        >>> parent("s3://bucket/a/b.csv?region=eu"), parent("/music/a.csv")
        ('s3://bucket/a?region=eu', '/music')
    """
    if not is_remote(uri):
        return str(local_path(uri).parent)
    scheme, bucket, key, options = split(uri)
    return f"{scheme}://{bucket}/{key.rpartition('/')[0]}".rstrip("/") + options


def relative(uri: str, folder: str) -> str:
    """Returns the path of a file below a folder, or all of its path where it is not below it. Options do not
    count.

    Example:
        >>> relative("s3://bucket/a/b.wav?region=eu", "s3://bucket/a/"), relative("/x/y.wav", "/z")
        ('b.wav', '/x/y.wav')
    """
    return _plain(uri).removeprefix(_plain(folder) + "/")


def suffix(uri: str) -> str:
    """Returns the ending of a file's name, in lower case.

    Example:
        >>> suffix("s3://bucket/Songs.CSV?region=eu")
        '.csv'
    """
    return PurePosixPath(_plain(uri)).suffix.lower()


def printable(name: str) -> str:
    r"""Returns a file name as text that Parquet and JSON take: bytes that are not UTF-8 are spelled out.

    Example:
        >>> printable("caf\udce9")
        'caf\\udce9'
    """
    return name.encode("utf-8", "backslashreplace").decode()


def is_leftover(name: str) -> bool:
    """Returns whether a file is what a killed `write_local` leaves behind."""
    return PurePosixPath(name).name.startswith(".") and name.endswith(".part")


def split(uri: str) -> tuple[str, str, str, str]:
    """Returns scheme, bucket, key and options of a remote URI.

    Raises:
        UserError: the text is no URI.
    """
    match = _URI.fullmatch(uri)
    if match is None:
        raise UserError(f"{uri!r} is not a URI; expected a local path or scheme://bucket/key")
    return match["scheme"], match["bucket"], match["key"], match["options"] or ""


def _plain(uri: str) -> str:
    options = split(uri)[3] if is_remote(uri) else ""
    return absolute(uri).removesuffix(options).rstrip("/")
