"""Band songs are composed by seed and rendered by SoundFonts: music with exact stems, as much as one likes.

They are to music what the toy waves are to waves: they need no data, and the same config makes the same
songs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from typing_extensions import override

from vsep_ray.config import UserError
from vsep_ray.datasets.dataset import Inventory
from vsep_ray.datasets.rendered import RenderedDataset
from vsep_ray.datasets.track import Stem, Track
from vsep_ray.music.band.composer import VERSION, compose
from vsep_ray.music.score import Score, score_of

SPLITS = ("train", "valid", "test")
SONGS_APART = 10_000_000
"""Seeds of the composer from one split to the next."""


@dataclass(frozen=True)
class BandConfig(RenderedDataset):
    """Band songs are composed by seed in many styles, and rendered with a stem per family of instruments."""

    has_splits = True

    train_songs: int = 200
    """Songs in split train."""
    valid_songs: int = 20
    """Songs in split valid."""
    test_songs: int = 20
    """Songs in split test."""
    song_seconds: float = 90.0
    """Length of a song (s); dataset.seconds takes an excerpt of it."""

    @override
    def find(self) -> list[Track]:
        """Returns all songs of all splits, in order; ``track.id`` is ``<split>-<index>``.

        Raises:
            UserError: what `StemsRecipe.check` refuses, or no songs.
        """
        self.check()
        counts = dict(zip(SPLITS, (self.train_songs, self.valid_songs, self.test_songs), strict=True))
        if min(counts.values()) < 0 or not counts["train"] or not 5 <= self.song_seconds <= 1_800:
            raise UserError(
                "--dataset band takes --dataset.train-songs of 1 or more, other numbers of songs of 0 or "
                f"more, and --dataset.song-seconds between 5 and 1800; got {counts}, {self.song_seconds:g} s"
            )
        named = [(f"{split}-{i:06d}", split) for split, count in counts.items() for i in range(count)]
        sources = sorted(self.table.sources)
        return [Track(n, stems=tuple(Stem(s, (f"band:{n}",)) for s in sources), split=p) for n, p in named]

    @override
    def scales(self, num: int) -> tuple[float, ...]:
        return (1.0,) * num

    @override
    def paired(self, tracks: Sequence[Track]) -> bool:
        return True

    @override
    def inventory(self, tracks: Sequence[Track]) -> Inventory:
        """Returns the recipe, and which composer it was."""
        size = self.bytes_of_song(self.song_seconds)
        return Inventory([self.name, VERSION, *self.ingredients()], [size] * len(tracks))

    @override
    def score(self, track: Track) -> Score:
        return score_of(compose(self._song_seed(track), self.song_seconds))

    def _song_seed(self, track: Track) -> int:
        index = int(track.id.rpartition("-")[2])
        return index + SONGS_APART * (SPLITS.index(track.split) + len(SPLITS) * self.seed)
