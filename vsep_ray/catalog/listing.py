"""A folder, a glob or a manifest says what to separate; a template says where the stems go."""

import functools
import itertools
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import PurePosixPath
from string import Formatter
from typing import Any

import numpy as np

from vsep_ray import storage
from vsep_ray.audio.formats import AUDIO_ENDINGS, is_sound
from vsep_ray.config import UserError
from vsep_ray.datasets import manifest
from vsep_ray.datasets.track import Track
from vsep_ray.storage import uris

LONGEST_NAME = 255
"""The file systems of today take no more bytes in the name of a file or folder."""
SHORT_NAME = LONGEST_NAME // 4  # characters, of four bytes at most
FIELDS = ("path", "suffix", "source", "ext")


def read_catalog(uri: str) -> list[Track]:
    """Returns the tracks of a catalog, sorted by id.

    * A folder: all files below it with an ending of `AUDIO_ENDINGS`, in capitals or not, but no hidden ones.
    * A glob (``*``, ``?``, ``[...]`` within a folder, ``**`` across folders): likewise, those that match.
    * A manifest (``.csv``, ``.parquet``): all rows of its column ``path`` or ``uri``, relative to the
    manifest.
    * One sound file.

    A track's id is its path below the folder, below the glob's fixed part, or as the manifest gives it.

    Raises:
        UserError: nothing there, no sound in it, or a manifest without the column.
    """
    if storage.suffix(uri) in manifest.ENDINGS:
        tracks = _from_manifest(uri)
    elif storage.is_directory(uri):
        tracks = _listed(uri, filter(is_sound, storage.list_files(uri)))
    elif storage.exists(uri):
        tracks = [Track(storage.printable(storage.relative(uri, storage.parent(uri))), uri)]
    else:
        tracks = _from_glob(uri)
    if not tracks:
        raise UserError(
            f"catalog {uri!r} has no sound files; endings that count: {' '.join(sorted(AUDIO_ENDINGS))}"
        )
    return sorted(tracks, key=lambda track: track.id)


def split_glob(uri: str) -> tuple[str, str]:
    """Returns the folder that a glob begins in, and its pattern below it, "" where there is nothing to match.

    Example:
        >>> split_glob("s3://bucket/live/*/a?.wav?region=eu")
        ('s3://bucket/live?region=eu', '*/a?.wav')
        >>> split_glob("/music/a.wav")
        ('/music/a.wav', '')
    """
    scheme, bucket, key, options = uris.split(uri) if storage.is_remote(uri) else ("", "", uri, "")
    parts = key.split("/")
    fixed = next((i for i, part in enumerate(parts) if re.search(r"[*?\[]", part)), len(parts))
    folder = "/".join(parts[:fixed])
    if scheme:
        folder = f"{scheme}://{bucket}/{folder}".rstrip("/") + options
    return folder or ("." if fixed == 0 else "/"), "/".join(parts[fixed:])


def would_read(uri: str, file: str) -> bool:
    """Returns whether a file that does not exist yet would be part of a catalog, were it there."""
    folder, pattern = split_glob(uri)
    name = storage.relative(file, folder)
    below = "://" not in name and not name.startswith("/")
    return below and (re.fullmatch(_translate(pattern), name) is not None if pattern else True)


def stem_names(
    track: str, sources: Iterable[str], template: str, ext: str, whole: bool = False
) -> tuple[str, ...]:
    """Returns the names of a track's stems relative to the output folder, one for each source.

    Args:
        track: the id, the track's path in the catalog.
        sources: names of the stems.
        template: what `FIELDS` are put into.
        ext: the ending of the stems.
        whole: whether ``{path}`` keeps the track's own ending.

    Example:
        >>> stem_names("live/a.b.mp3", ["bass", "other"], "{path}/{source}.{ext}", "flac")
        ('live/a.b/bass.flac', 'live/a.b/other.flac')
        >>> stem_names("a.mp3", ["bass"], "{path}/{source}.{ext}", "flac", whole=True)
        ('a.mp3/bass.flac',)
    """
    path = PurePosixPath(track)
    name = str(path if whole else path.with_suffix("")).lstrip("/")
    fields = {"path": name, "suffix": path.suffix.lstrip("."), "ext": ext}
    return tuple(template.format(source=source, **fields) for source in sources)


def check_names(tracks: Sequence[Track], sources: Sequence[str], template: str, ext: str) -> frozenset[str]:
    """Returns the ids of the tracks that keep their ending in the names of their stems: those that would
    share a name with another track otherwise, as a.flac and a.mp3 would.

    Raises:
        UserError: two tracks share a name all the same, one would leave the output folder, or the template
            has a mistake.
    """
    try:
        unknown = {field for _, field, _, _ in Formatter().parse(template) if field is not None} - set(FIELDS)
    except ValueError as error:
        raise UserError(f"template {template!r}: {error}") from error
    if unknown or "{source}" not in template:
        known = ", ".join(f"{{{f}}}" for f in FIELDS)
        raise UserError(
            f"template {template!r} must contain {{source}} and no fields but {known}, as the default has"
        )
    share = functools.partial(_sharing, tracks, sources, template, ext)
    whole = _kept_apart(share, _kept_apart(share, frozenset(), _folded), str)
    if sharing := share(whole, str):
        pairs = [" and ".join(map(repr, ids)) for ids in sharing]
        more = f" and {len(pairs) - 5} more" if len(pairs) > 5 else ""
        raise UserError(
            f"these tracks would overwrite each other's stems: {'; '.join(pairs[:5])}{more}; rename one, "
            f"or change --template {template!r}"
        )
    return whole


def _kept_apart(
    share: Callable[..., Any], whole: frozenset[str], fold: Callable[[str], str]
) -> frozenset[str]:
    """Returns tracks whose ending must stay, until no names are alike or it helps no more."""
    while sharing := share(whole, fold):
        before, whole = whole, whole.union(*sharing)
        if whole == before:
            break
    return whole


def _folded(name: str) -> str:
    """Returns what disks of Macs and of Windows take a name for: capitals and ways to write é are one."""
    return unicodedata.normalize("NFC", name).casefold()


def _sharing(
    tracks: Sequence[Track],
    sources: Sequence[str],
    template: str,
    ext: str,
    whole: Collection[str],
    fold: Callable[[str], str],
) -> list[tuple[str, ...]]:
    """Returns groups of tracks, by their ids, that share the name of a stem, or what ``fold`` makes of it."""

    def names(track: str, whole: bool) -> list[str]:
        return [fold(name) for name in _checked_names(track, sources, template, ext, whole)]

    written = (name for track in tracks for name in names(track.id, whole=track.id in whole))
    values, counts = np.unique(np.fromiter(map(hash, written), np.int64), return_counts=True)
    shared = set(values[counts > 1].tolist())  # a million tracks' names would take a gigabyte
    owners = defaultdict(list)
    for track in tracks if shared else ():
        for name in names(track.id, whole=track.id in whole):
            if hash(name) in shared:
                owners[name].append(track.id)
    return list(dict.fromkeys(tuple(ids) for ids in owners.values() if len(ids) > 1))


def _listed(folder: str, found: Iterable[str]) -> list[Track]:
    # a name that is not UTF-8 stays readable as a URI, but an id must fit into Parquet
    return [Track(storage.printable(n), storage.join(folder, n)) for n in found]


def _from_glob(uri: str) -> list[Track]:
    folder, pattern = split_glob(uri)
    if not pattern or not storage.is_directory(folder):
        raise UserError(
            f"catalog {uri!r} is not there; expected a folder, glob, .csv or .parquet manifest, or file"
        )
    matches = re.compile(_translate(pattern)).fullmatch
    return _listed(folder, (name for name in storage.list_files(folder) if is_sound(name) and matches(name)))


def _translate(pattern: str) -> str:
    """Returns the regular expression of a glob: ``**/`` is any number of folders, ``*`` stays within one."""
    pieces = re.split(r"(\*\*/|\*|\?|\[[^]]*\])", pattern)
    special = {"**/": r"(?:.*/)?", "*": r"[^/]*", "?": r"[^/]"}
    special |= {p: p.replace("[!", "[^") for p in pieces if p.startswith("[")}
    return "".join(special.get(piece) or re.escape(piece) for piece in pieces)


def _from_manifest(uri: str) -> list[Track]:
    named = filter(None, manifest.read(uri)["path"])
    paths = list(dict.fromkeys(p if "://" in p else os.path.normpath(p) for p in named))
    return [Track(name, manifest.resolve(uri, path)) for name, path in zip(_names(paths), paths, strict=True)]


def _names(paths: Sequence[str]) -> list[str]:
    """Returns the ids of a manifest's rows: the paths, without the folders that absolute ones share."""
    if not all("://" in path or path.startswith("/") for path in paths):
        return [os.path.normpath(path.lstrip("/")) for path in paths]
    parts = [path.replace("://", "/").split("/") for path in paths]
    levels = zip(*(path[:-1] for path in parts), strict=False)
    shared = sum(1 for _ in itertools.takewhile(lambda names: len(set(names)) == 1, levels))
    return ["/".join(path[shared:]) for path in parts]


def _checked_names(track: str, sources: Iterable[str], template: str, ext: str, whole: bool) -> Iterable[str]:
    for name in stem_names(track, sources, template, ext, whole):
        if name.startswith("/") or (".." in name and ".." in PurePosixPath(name).parts):
            raise UserError(
                f"track {track!r} would be written to {name!r}, outside the output folder; change --template"
            )
        if len(name) > SHORT_NAME and any(len(p.encode()) > LONGEST_NAME for p in name.split("/")):
            raise UserError(
                f"track {track!r} would be written to {name!r}, and a name may have {LONGEST_NAME} bytes; "
                "change --template"
            )
        yield name
