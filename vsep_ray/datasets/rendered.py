"""Songs that are rendered by SoundFonts have this in common, wherever their notes come from."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from typing_extensions import override

from vsep_ray.audio.formats import AudioError
from vsep_ray.audio.resampling import Audio
from vsep_ray.datasets.dataset import Dataset
from vsep_ray.datasets.streams import BadFileError, Stream, delayed
from vsep_ray.datasets.track import CropConfig, Track
from vsep_ray.music.score import Score
from vsep_ray.music.stems import StemsRecipe


@dataclass(frozen=True)
class RenderedDataset(StemsRecipe, Dataset):
    """A data set of scores, which become sound when a song is opened."""

    @abstractmethod
    def score(self, track: Track) -> Score:
        """Returns the notes of a song.

        Raises:
            AudioError: stage ``read`` or ``decode``, where there are none.
        """

    @override
    def open(self, track: Track, crop: CropConfig) -> Mapping[str, Stream]:
        """Returns the stems; the song is rendered when the first piece of one is asked for."""
        return delayed(track, lambda: self._rendered_stems(self.score(track), track, crop), crop.length)

    @override
    def glimpse(self, track: Track, crop: CropConfig, most: float) -> tuple[float, Mapping[str, Stream]]:
        """Returns the length of the song (s), which its notes tell, and ``most`` seconds of its stems, from
        anywhere.
        """
        try:
            score = self.score(track)
            seconds = self.seconds_of(score, track.id)
        except AudioError as error:
            raise BadFileError(track.files[0], error) from error
        return seconds, delayed(track, lambda: self._rendered_stems(score, track, crop, most), crop.length)

    def _rendered_stems(
        self, score: Score, track: Track, crop: CropConfig, most: float = 0.0
    ) -> dict[str, Audio]:
        sources = [stem.source for stem in track.stems]
        return self.stems(score, track.id, sources, crop.sample_rate, crop.channels, most)
