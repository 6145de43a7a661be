"""Recordings of one voice become more of it: other keys, vocal tracts and melodies, doublings and choirs.

Every draw depends on the seed and a name alone, so that a variant is the same in any order and process.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vsep_ray.audio.loudness import short_loudness
from vsep_ray.audio.resampling import Audio, fit_length, map_channels, resample
from vsep_ray.config import UserError
from vsep_ray.music.levels import place
from vsep_ray.music.melody import along, compose
from vsep_ray.music.vocoder import (
    PER_SECOND,
    RATES,
    SHORTEST,
    Frames,
    Voice,
    analyse,
    retimed,
    synthesise,
    transposed,
    with_formants,
)

LEAST_VOICED = 0.1
"""Share of frames with pitch below which there is nothing to sing."""
FADE = 0.005
"""Seconds in which a variant begins and ends."""
SEEDS = 1 << 31


@dataclass(frozen=True)
class VoicesRecipe:
    """The recipe says how a voice is varied, the same for the same name and seed anywhere."""

    variants: int = 4
    """Variants of each recording, which follow it; 0: the recordings alone."""
    transpose: float = 4.0
    """Semitones by which a variant is higher or lower at most, with the formants kept; 0: as recorded."""
    formants: float = 0.12
    """Share by which the formants of a variant are higher or lower at most: a shorter or longer vocal tract;
    0: as recorded."""
    melodies: float = 0.4
    """Chance that a variant sings another melody, which the composer of --dataset band writes; 0: never."""
    choirs: float = 0.3
    """Chance that a variant is sung by several voices at once; 0: never."""
    voices: int = 6
    """Voices of a choir at most; 2 is a doubling."""
    tuning: float = 12.0
    """Cents by which each voice of a choir is off (standard deviation)."""
    timing: float = 25.0
    """Milliseconds by which each voice of a choir is early or late (standard deviation)."""
    spread: float = 0.8
    """Share by which the outermost voices of a choir stand to the sides in stereo at most: 1 is hard left and
    right; 0: all in the middle."""
    seed: int = 0
    """Seed of all that is drawn for a variant, beside its name."""

    def check(self) -> None:
        """Refuses values out of range.

        Raises:
            UserError: with the range.
        """
        ranges = {"variants": (0, 1_000), "transpose": (0, 24), "formants": (0, 0.5), "melodies": (0, 1),
                  "choirs": (0, 1), "voices": (2, 32), "tuning": (0, 100), "timing": (0, 200),
                  "spread": (0, 1)}  # fmt: skip
        for name, (low, high) in ranges.items():
            if not low <= (value := getattr(self, name)) <= high:
                raise UserError(f"--dataset.{name} must lie between {low} and {high}, got {value}")

    def sing(self, recording: Audio, sample_rate: int, name: str) -> Iterator[Audio]:
        """Yields the variants of a recording, each as long and as loud; none where there is hardly a voice.

        They have one place in stereo, or that of their choir, whatever the recording has.

        Args:
            recording: (C, T).
            sample_rate: Hz.
            name: by which it is drawn how each is sung.

        Yields:
            (C, T).
        """
        rate = min(max(sample_rate, RATES[0]), RATES[1])
        heard = resample(recording, sample_rate, rate)
        level = short_loudness(heard, rate)
        if not self.variants or level == -math.inf or heard.shape[1] < SHORTEST * rate:
            return
        voice = analyse(map_channels(heard, 1)[0], rate)
        if voice.voiced.mean() < LEAST_VOICED:
            return
        for i in range(self.variants):
            dice = random.Random(f"{self.seed}/{i}/{name}")  # a text seeds alike in every process
            sung = fit_length(self._variant(voice, len(recording), dice), heard.shape[1])
            finished = resample(_finished(sung, rate, level), rate, sample_rate)
            yield fit_length(finished, recording.shape[1])

    def _variant(self, voice: Voice, channels: int, dice: random.Random) -> Audio:
        semitones = dice.uniform(-self.transpose, self.transpose)
        ratio = (1 + self.formants) ** dice.uniform(-1, 1)
        sings_melody, in_choir = dice.random() < self.melodies, dice.random() < self.choirs
        tune = along(voice, compose(dice.randrange(SEEDS)), dice) if sings_melody else 0.0
        changed = with_formants(transposed(voice, tune + semitones), ratio)
        num = dice.randint(2, self.voices) if in_choir else 1
        return (
            self.choir(changed, num, channels, dice) if in_choir else _placed(synthesise(changed), channels)
        )

    def choir(self, voice: Voice, num: int, channels: int, dice: random.Random) -> Audio:
        """Returns several voices that sing the same, each a little otherwise. Shape: -> (channels, T).

        Args:
            voice: what they sing.
            num: number of voices.
            channels: with two or more, the voices are spread over the first two.
            dice: of their differences.
        """
        side = dice.uniform(0, self.spread)
        places = enumerate(np.linspace(-side, side, num))
        return np.sum([_placed(self._singer(voice, i, dice), channels, pan) for i, pan in places], axis=0)

    def _singer(self, voice: Voice, index: int, dice: random.Random) -> np.ndarray:
        """Returns one voice of a choir. Shape: -> (T,)."""
        num = len(voice.pitch)
        # WORLD draws the same noise every time: what comes before makes it another one for each singer
        before = (index + 1) * PER_SECOND // 4
        late = _wander(num, self.timing / 1_000 * PER_SECOND, dice)
        places = np.concatenate([np.zeros(before), np.arange(num) - late])
        off = np.pad(_wander(num, self.tuning / 100, dice), (before, 0))
        singer = with_formants(retimed(voice, places), (1 + self.formants / 4) ** dice.uniform(-1, 1))
        return synthesise(transposed(singer, off))[before * voice.sample_rate // PER_SECOND :]


def _wander(num: int, spread: float, dice: random.Random) -> Frames:
    """Returns a course of frames with a standard deviation, which takes a new direction every second."""
    away = dice.gauss(0, spread * math.sqrt(0.5))
    turns = [away + dice.gauss(0, spread * math.sqrt(0.5)) for _ in range(num // PER_SECOND + 2)]
    return np.interp(np.arange(num), np.arange(len(turns)) * PER_SECOND, turns)


def _placed(samples: np.ndarray, channels: int, pan: float = 0.0) -> Audio:
    both = np.stack([samples] * min(channels, 2))
    return map_channels(both if channels == 1 else place(both, pan, 1.0), channels)


def _finished(audio: Audio, sample_rate: int, level: float) -> Audio:
    """Returns a variant as loud (LUFS) as asked, that begins and ends in silence."""
    ramp = np.minimum(np.arange(audio.shape[1]) / (FADE * sample_rate), 1).astype(np.float32)
    audio = audio * ramp * ramp[::-1]
    found = short_loudness(audio, sample_rate)
    return audio * np.float32(10 ** ((level - found) / 20)) if found > -math.inf else audio
