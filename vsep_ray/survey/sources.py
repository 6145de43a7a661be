"""A source is surveyed by some crops of some songs: loudness, pitches, onsets, spectrum, and findings."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from vsep_ray.audio.loudness import short_loudness
from vsep_ray.audio.resampling import Audio
from vsep_ray.survey.features import Figures, key_histogram, onsets, power_spectrum
from vsep_ray.survey.findings import Finding, findings

LONGEST_SECONDS = 10.0
"""Of a longer crop the beginning (s) is looked at."""


@dataclass(frozen=True)
class Song:
    """Some crops of one source of one song, in memory.

    Attributes:
        track: the song's id.
        split: where it belongs.
        offsets: where the crops begin, in samples.
        crops: audible ones, (N, C, T).
        loudest: the crop of the highest peak, where that is full scale, (0 or 1, C, T).
    """

    track: str
    split: str
    offsets: tuple[int, ...]
    crops: Audio
    loudest: Audio


@dataclass(frozen=True)
class Survey:
    """What is known of a source from the songs that were looked at.

    Attributes:
        source: the class.
        sample_rate: Hz.
        songs: number of songs.
        lufs: loudness of each crop.
        keys: how often each piano key was heard, (88,).
        onsets: per second, of each crop.
        power: mean power per bin, (F,), of all crops.
        findings: what is wrong.
    """

    source: str
    sample_rate: int
    songs: int = 0
    lufs: tuple[float, ...] = ()
    keys: Figures = field(default_factory=lambda: np.zeros(0))
    onsets: tuple[float, ...] = ()
    power: Figures = field(default_factory=lambda: np.zeros(0))
    findings: tuple[Finding, ...] = ()

    @property
    def median_lufs(self) -> float | None:
        """The loudness that half of the audible crops exceed; None where there is none."""
        heard = [value for value in self.lufs if math.isfinite(value)]
        return float(np.median(heard)) if heard else None


def survey(source: str, songs: Iterable[Song], sample_rate: int) -> Survey:
    """Returns what is known of a source; songs are taken one by one, and none is kept."""
    looks = [_look(source, song, sample_rate) for song in songs if len(song.crops)]
    if not looks:
        return Survey(source, sample_rate)
    weights = [len(one.lufs) for one in looks]
    return Survey(
        source,
        sample_rate,
        songs=len(looks),
        lufs=tuple(value for one in looks for value in one.lufs),
        keys=np.sum([one.keys for one in looks], axis=0),
        onsets=tuple(value for one in looks for value in one.onsets),
        power=np.average([one.power for one in looks], axis=0, weights=weights),
        findings=tuple(f for one in looks for f in one.findings),
    )


def excerpt(crops: Audio, sample_rate: int) -> Audio:
    """Returns the beginnings of crops, `LONGEST_SECONDS` at most."""
    return crops[..., : round(LONGEST_SECONDS * sample_rate)]


def _look(source: str, song: Song, rate: int) -> Survey:
    crops = excerpt(song.crops, rate)
    power = power_spectrum(crops)
    loudest = np.concatenate([song.crops, song.loudest])
    return Survey(
        source,
        rate,
        songs=1,
        lufs=tuple(short_loudness(crop, rate) for crop in crops),
        keys=key_histogram(crops, rate),
        onsets=tuple(onsets(crop, rate) * rate / crop.shape[-1] for crop in crops),
        power=power,
        findings=tuple(findings(song.track, source, crops, loudest, power, rate)),
    )
