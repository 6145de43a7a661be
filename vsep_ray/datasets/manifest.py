"""Manifests are tables (CSV or Parquet) that list sound files.

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
from vsep_ray.datasets.track import Stem, Track, track_of

ENDINGS = (".csv", ".parquet")
COLUMNS = ("path", "uri", "source", "track", "split")
SPLITS = ("train", "valid", "test", "")


@dataclass(frozen=True)
class ManifestConfig(FilesDataset):
    """A manifest is a table of files with columns path, source and, if known, track and split."""

    holds_songs = False
    example = ("songs.csv", "song/drums.wav", "song/bass.wav")

    @override
    def tracks(self, root: str) -> list[Track]:
        """Returns the tracks of a manifest. Files of one song and source are summed, each once; if no song
        has two sources, every file is a clip: a track with one stem. A song without a split takes that of its
        other rows.

        Raises:
            UserError: the manifest cannot be read, lacks ``path`` or ``source``, or has a song or a file in
                two splits, or several mixtures of a song.
        """
        table = read(root, "source")
        rows = zip(*(table[name] for name in ("path", "track", "source", "split")), strict=True)
        clips = [_clip(resolve(root, path), *others) for path, *others in rows if path]
        clips = list(dict.fromkeys(_with_splits(clips, root)))
        joined = _joined(clips)
        return joined if any(len(t.stems) > 1 or t.uri for t in joined) else clips


def read(uri: str, *needed: str) -> dict[str, list[str]]:
    """Returns the columns of a manifest as text, "" where nothing stands. Column ``uri`` stands for ``path``
    where there is none.

    Raises:
        UserError: the manifest is not there, cannot be read, or lacks ``path`` or a needed column.
    """
    if storage.size(uri) < 0:
        raise UserError(f"manifest {uri!r} is not there")
    content = io.BytesIO(storage.read_bytes(uri))
    # a song called 007 is not song 7
    as_text = pa.csv.ConvertOptions(column_types=dict.fromkeys(COLUMNS, pa.string()))
    is_parquet = storage.suffix(uri) == ".parquet"
    try:
        table = pq.read_table(content) if is_parquet else pa.csv.read_csv(content, convert_options=as_text)
    except pa.ArrowInvalid as error:
        raise UserError(f"manifest {uri!r} cannot be read: {error}") from error
    names = table.column_names
    path = "uri" if "uri" in names and "path" not in names else "path"
    for name in (path, *needed):
        if name not in names:
            raise UserError(
                f"the table {uri!r} has no column {name!r}; it has {', '.join(names)}. Files stand in column "
                "path or uri; a data set needs source too, and may have track and split"
            )
    texts = {}
    for name in COLUMNS:
        values = table[name].to_pylist() if name in names else [""] * len(table)
        texts[name] = ["" if value is None else str(value) for value in values]
    return texts | {"path": texts[path]}


def resolve(uri: str, path: str) -> str:
    """Returns the URI of a file that the manifest at ``uri`` names."""
    if "://" in path or path.startswith(("/", "~")):
        return path
    return storage.join(storage.parent(uri), os.path.normpath(path))


def _clip(uri: str, song: str, source: str, split: str) -> Track:
    return Track(song or uri, stems=(Stem(source, (uri,)),), split=split)


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


def _joined(clips: Sequence[Track]) -> list[Track]:
    """Returns a track per song, its files by source; a published mixture is the track's own file."""
    songs: dict[tuple[str, str], dict[str, list[str]]] = {}
    for clip in clips:
        (stem,) = clip.stems
        songs.setdefault((clip.id, clip.split), {}).setdefault(stem.source, []).extend(stem.uris)
    return [track_of(song, files, split) for (song, split), files in songs.items()]
