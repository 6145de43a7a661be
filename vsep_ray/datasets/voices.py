"""Recordings of solo voices become more singing: each is followed by variants of it, made by WORLD while
crops are prepared.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from typing_extensions import override

from vsep_ray import storage
from vsep_ray.audio.formats import is_sound
from vsep_ray.audio.resampling import Audio, rechunk
from vsep_ray.config import UserError, what_counts
from vsep_ray.datasets.dataset import FilesDataset, Inventory
from vsep_ray.datasets.folders import without_ending
from vsep_ray.datasets.streams import Stream, read_file
from vsep_ray.datasets.track import CropConfig, Stem, Track
from vsep_ray.music.vocoder import pyworld
from vsep_ray.music.voices import VoicesRecipe

PASSAGE = 30.0
"""Seconds of a recording that are in memory and varied at once."""


@dataclass(frozen=True)
class VoicesConfig(VoicesRecipe, FilesDataset):
    """Recordings of solo voices, a file each, are followed by variants of them."""

    holds_songs = False
    example = ("singer.wav", "other singer/song.wav")

    source: str = "vocals"
    """The class that all of it is of."""

    @override
    def tracks(self, root: str) -> list[Track]:
        """Returns a track of one stem per sound file; ``id`` is its path without the ending.

        Raises:
            UserError: what `VoicesRecipe.check` refuses, no name of a class, or pyworld is not installed.
        """
        self.check()
        pyworld()
        if not self.source:
            raise UserError("--dataset.source needs the name of a class, such as vocals")
        names = storage.list_files(root) if storage.is_directory(root) else []
        found = [name for name in names if is_sound(name)]
        return [
            Track(storage.printable(without_ending(n)), stems=(Stem(self.source, (storage.join(root, n),)),))
            for n in found
        ]

    @override
    def open(self, track: Track, crop: CropConfig) -> Mapping[str, Stream]:
        """Returns the recording and its variants. One of more than `PASSAGE` seconds comes in passages of so
        many whole crops, each followed by variants of its own.
        """
        ((source, uri),) = track.uses
        return {source: (piece.copy() for piece in rechunk(self._passages(uri, crop), crop.length))}

    @override
    def inventory(self, tracks: Sequence[Track]) -> Inventory:
        """Returns the recipe, pyworld's version, and the files; the bytes are those of all variants."""
        files = super().inventory(tracks)
        content = [what_counts(self), pyworld().__version__, files.content]
        return Inventory(content, [(1 + self.variants) * size for size in files.sizes])

    def _passages(self, uri: str, crop: CropConfig) -> Iterator[Audio]:
        name = storage.relative(uri, storage.absolute(self.root))
        length = crop.length * math.ceil(PASSAGE * crop.sample_rate / crop.length)
        for i, passage in enumerate(read_file(uri, replace(crop, length=length))):
            yield passage
            yield from self.sing(passage, crop.sample_rate, f"{i}/{name}")
