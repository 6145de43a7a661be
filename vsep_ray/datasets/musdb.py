"""MUSDB18 (``.stem.mp4``) and MUSDB18-HQ (wav) have train, valid and test tracks as the musdb package says.

The published mixture went through mastering and is not the sum of the stems; it is kept beside the stems.
"""

import functools
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

import yaml
from typing_extensions import override

from vsep_ray import storage
from vsep_ray.datasets.dataset import FilesDataset
from vsep_ray.datasets.streams import Stream, read_file
from vsep_ray.datasets.track import MIXTURE, PUBLISHED, CropConfig, Stem, Track

SOURCES = ("drums", "bass", "other", "vocals")
"""The sources; in a stem file their streams come in this order, behind that of the mixture."""


@dataclass(frozen=True)
class MUSDB18Config(FilesDataset):
    """MUSDB18 has compressed stem files (.stem.mp4)."""

    has_splits = True
    example = ("train/Artist - Title.stem.mp4",)

    @override
    def tracks(self, root: str) -> list[Track]:
        return _tracks(root, "{title}.stem.mp4")

    @override
    def open(self, track: Track, crop: CropConfig) -> dict[str, Stream]:
        """Returns the streams of a stem file, rounded to 16 bits as musdb decodes them."""
        named = enumerate((PUBLISHED, *SOURCES))
        return {name: read_file(track.uri, crop, stream=i, bits=16) for i, name in named}


@dataclass(frozen=True)
class MUSDB18HQConfig(FilesDataset):
    """MUSDB18-HQ has a folder of wav files per track."""

    has_splits = True
    example = tuple(f"train/Artist - Title/{s}.wav" for s in (MIXTURE, *SOURCES))

    @override
    def tracks(self, root: str) -> list[Track]:
        return _tracks(root, "{title}/{source}.wav")


@functools.cache
def validation_tracks() -> frozenset[str]:
    """Returns the names of the tracks of subset train that musdb sets aside for validation."""
    # found, not imported: importing musdb fails where ffmpeg is missing
    spec = importlib.util.find_spec("musdb")
    assert spec is not None and spec.submodule_search_locations, "musdb is a dependency of this package"
    config = Path(spec.submodule_search_locations[0], "configs", "mus.yaml")
    return frozenset(yaml.safe_load(config.read_text())["validation_tracks"])


def _tracks(root: str, layout: str) -> list[Track]:
    """Returns the tracks whose files are named by ``layout`` below ``<root>/train`` and ``<root>/test``."""
    pattern = re.compile(layout.replace(".", r"\.").format(title="([^/]+)", source="[^/]+"))
    tracks = []
    for subset in ("train", "test"):
        folder = storage.join(root, subset)
        names = storage.list_files(folder) if storage.is_directory(folder) else []
        for title in sorted({found[1] for found in map(pattern.fullmatch, names) if found}):
            paths = (layout.format(title=title, source=source) for source in (MIXTURE, *SOURCES))
            mixture, *uris = (storage.join(folder, path) for path in paths)
            stems = tuple(Stem(source, (uri,)) for source, uri in zip(SOURCES, uris, strict=True))
            split = "valid" if subset == "train" and title in validation_tracks() else subset
            tracks.append(Track(title, mixture, stems, split))
    return tracks
