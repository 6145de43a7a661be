"""Manifests: tables (CSV or Parquet) that list sound files.

======= ==================================================================================================
column
======= ==================================================================================================
path    a file, relative to the manifest's folder, or a URI; the column may be called ``uri``
source  its class; ``mixture`` for a track's published mixture (crop stores only)
track   the song that it belongs to; default: every file is a song of its own
split   train, valid or test; default: chosen by a hash of the song
======= ==================================================================================================
"""

import io
import os
from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from vsep_ray.config import UserError
from vsep_ray.data import storage
from vsep_ray.data.crops import MIXTURE
from vsep_ray.data.track import Stem, Track

ENDINGS = (".csv", ".parquet")
SPLITS = ("train", "valid", "test", "")


def tracks(uri: str) -> list[Track]:
    """The tracks of a manifest. Files of one song and source are summed; if no song has two sources, every
    file is a clip: a track with one stem.

    Raises:
        UserError: the manifest cannot be read, lacks ``path`` or ``source``, or has a song in two splits.
    """
    table = read(uri)
    if "source" not in table.column_names:
        raise UserError(f"manifest {uri!r} has no column 'source'; it has {', '.join(table.column_names)}")
    paths = column(table, uri)
    songs, sources, splits = (_strings(table, name) for name in ("track", "source", "split"))
    clips = [
        Track(song or os.path.normpath(path), stems=(Stem(source, (resolve(uri, path),)),), split=split)
        for path, song, source, split in zip(paths, songs, sources, splits, strict=True)
        if path
    ]
    _check(clips, uri)
    joined = _joined(clips)
    return joined if any(len(t.stems) > 1 or t.uri for t in joined) else clips


def read(uri: str) -> pa.Table:
    """The table of a manifest.

    Raises:
        UserError: it is not there or cannot be read.
    """
    if storage.size(uri) < 0:
        raise UserError(f"manifest {uri!r} is not there")
    content = io.BytesIO(storage.read_bytes(uri))
    try:
        return pq.read_table(content) if uri.lower().endswith(".parquet") else pa.csv.read_csv(content)
    except pa.ArrowInvalid as error:
        raise UserError(f"manifest {uri!r} cannot be read: {error}") from error


def column(table: pa.Table, uri: str) -> list[str]:
    """The files that a manifest names, as it names them; "" for a row without one.

    Raises:
        UserError: no column ``path`` or ``uri``.
    """
    name = next((name for name in ("path", "uri") if name in table.column_names), None)
    if name is None:
        raise UserError(
            f"manifest {uri!r} has no column 'path' or 'uri'; it has {', '.join(table.column_names)}"
        )
    return _strings(table, name)


def resolve(uri: str, path: str) -> str:
    """The URI of a file that the manifest at ``uri`` names."""
    folder = uri.rpartition("/")[0] or "."
    return path if "://" in path or path.startswith(("/", "~")) else storage.join(folder, path)


def _strings(table: pa.Table, name: str) -> list[str]:
    if name not in table.column_names:
        return [""] * len(table)
    return ["" if value is None else str(value) for value in table[name].to_pylist()]


def _check(clips: Sequence[Track], uri: str) -> None:
    splits: dict[str, str] = {}
    for clip in clips:
        if not clip.stems[0].source:
            raise UserError(f"manifest {uri!r}: {clip.stems[0].uris[0]} has no source")
        if clip.split not in SPLITS:
            raise UserError(f"manifest {uri!r}: split {clip.split!r}; expected train, valid or test")
        if splits.setdefault(clip.id, clip.split) != clip.split:
            raise UserError(f"manifest {uri!r}: song {clip.id!r} is in two splits")


def _joined(clips: Sequence[Track]) -> list[Track]:
    """A track per song, its files by source; a published mixture is the track's own file."""
    files: dict[str, dict[str, tuple[str, ...]]] = {}
    for clip in clips:
        sources = files.setdefault(clip.id, {})
        for stem in clip.stems:
            sources[stem.source] = sources.get(stem.source, ()) + stem.uris
    splits = {clip.id: clip for clip in clips}
    return [
        replace(
            splits[song],
            uri=next(iter(sources.pop(MIXTURE, ())), ""),
            stems=tuple(Stem(source, uris) for source, uris in sorted(sources.items())),
        )
        for song, sources in files.items()
    ]
