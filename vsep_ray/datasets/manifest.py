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
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from typing_extensions import override

from vsep_ray import storage
from vsep_ray.config import UserError
from vsep_ray.datasets.dataset import FilesDataset
from vsep_ray.datasets.track import MIXTURE, Stem, Track

ENDINGS = (".csv", ".parquet")
COLUMNS = ("path", "uri", "source", "track", "split")
SPLITS = ("train", "valid", "test", "")


@dataclass(frozen=True)
class ManifestConfig(FilesDataset):
    """A table of files: columns path, source and, if known, track and split."""

    holds_songs = False
    example = ("songs.csv", "song/drums.wav", "song/bass.wav")

    @override
    def tracks(self, root: str) -> list[Track]:
        return tracks(root)


def tracks(uri: str) -> list[Track]:
    """The tracks of a manifest. Files of one song and source are summed, each once; if no song has two
    sources, every file is a clip: a track with one stem. A song without a split takes that of its other rows.

    Raises:
        UserError: the manifest cannot be read, lacks ``path`` or ``source``, or has a song or a file in two
            splits, or two mixtures of a song.
    """
    table = read(uri)
    if "source" not in table.column_names:
        raise UserError(f"manifest {uri!r} has no column 'source'; it has {', '.join(table.column_names)}")
    paths = [resolve(uri, path) if path else "" for path in column(table, uri)]
    songs, sources, splits = (_strings(table, name) for name in ("track", "source", "split"))
    rows = [row for row in zip(paths, songs, sources, splits, strict=True) if row[0]]
    clips = [Track(song or path, stems=(Stem(source, (path,)),), split=s) for path, song, source, s in rows]
    clips = list(dict.fromkeys(_with_splits(clips, uri)))
    joined = _joined(clips, uri)
    return joined if any(len(t.stems) > 1 or t.uri for t in joined) else clips


def read(uri: str) -> pa.Table:
    """The table of a manifest.

    Raises:
        UserError: it is not there or cannot be read.
    """
    if storage.size(uri) < 0:
        raise UserError(f"manifest {uri!r} is not there")
    content = io.BytesIO(storage.read_bytes(uri))
    # a song called 007 is not song 7
    as_text = pa.csv.ConvertOptions(column_types=dict.fromkeys(COLUMNS, pa.string()))
    try:
        if storage.suffix(uri) == ".parquet":
            return pq.read_table(content)
        return pa.csv.read_csv(content, convert_options=as_text)
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
    if "://" in path or path.startswith(("/", "~")):
        return path
    return storage.join(storage.parent(uri), os.path.normpath(path))


def _strings(table: pa.Table, name: str) -> list[str]:
    if name not in table.column_names:
        return [""] * len(table)
    return ["" if value is None else str(value) for value in table[name].to_pylist()]


def _with_splits(clips: Sequence[Track], uri: str) -> list[Track]:
    splits: dict[str, str] = {}
    for clip in clips:
        (stem,) = clip.stems
        if not stem.source:
            raise UserError(f"manifest {uri!r}: {stem.uris[0]} has no source")
        if clip.split not in SPLITS:
            raise UserError(f"manifest {uri!r}: split {clip.split!r}; expected train, valid or test")
        for name in (f"song {clip.id!r}", f"file {stem.uris[0]!r}"):
            if clip.split and splits.setdefault(name, clip.split) != clip.split:
                raise UserError(f"manifest {uri!r}: {name} is in two splits")
    return [replace(clip, split=splits.get(f"song {clip.id!r}", "")) for clip in clips]


def _joined(clips: Sequence[Track], uri: str) -> list[Track]:
    """A track per song, its files by source; a published mixture is the track's own file."""
    files: dict[str, dict[str, tuple[str, ...]]] = {}
    for clip in clips:
        sources = files.setdefault(clip.id, {})
        for stem in clip.stems:
            sources[stem.source] = sources.get(stem.source, ()) + stem.uris
    splits = {clip.id: clip.split for clip in clips}
    return [_song(song, sources, splits[song], uri) for song, sources in files.items()]


def _song(song: str, sources: dict[str, tuple[str, ...]], split: str, uri: str) -> Track:
    mixture = sources.pop(MIXTURE, ("",))
    if len(mixture) > 1:
        raise UserError(f"manifest {uri!r}: song {song!r} has two mixtures, {mixture[0]} and {mixture[1]}")
    return Track(song, mixture[0], tuple(Stem(s, uris) for s, uris in sorted(sources.items())), split)
