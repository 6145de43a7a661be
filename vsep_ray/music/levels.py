"""Levels make rendered sources a mixture: loudness by ITU-R BS.1770, place, no clipping.

What is done to a source is a gain or a matrix of gains, and the last gain is the same for all: the sum of the
sources is the mixture, exactly.
"""

import functools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vsep_ray.audio.loudness import AUDIBLE_LUFS, loudness
from vsep_ray.audio.resampling import Audio
from vsep_ray.config import UserError

CEILING = 10 ** (-1 / 20)
"""-1 dBFS: neither the mixture nor a source is louder."""
PASS = 1 << 14
"""Samples that are worked on together: they fit into a processor's cache."""


@dataclass(frozen=True)
class LevelsConfig:
    """Every source of a song gets its own loudness and place."""

    level_lufs: float = -23.0
    """LUFS (loudness by ITU-R BS.1770) of every source, in the crops' own rate and channels; a song whose
    mixture would pass -1 dBFS is softer as a whole."""
    level_spread: float = 4.5
    """LU by which a source may be louder or softer than level_lufs, drawn evenly; 0: all are equally loud."""
    pan: float = 0.2
    """Share by which a source may move to one side: 1 is hard left or right; 0: as in the file."""
    width: float = 0.3
    """Share by which the stereo width of a source may grow or shrink: 1 is from mono to twice as wide; 0: as
    in the font."""

    def check(self) -> None:
        """Refuses values out of range.

        Raises:
            UserError: with the range.
        """
        ranges = {"level_lufs": (-60, -10), "level_spread": (0, 20), "pan": (0, 1), "width": (0, 1)}
        for name, (low, high) in ranges.items():
            if not low <= (value := getattr(self, name)) <= high:
                flag = name.replace("_", "-")
                raise UserError(f"--dataset.{flag} must lie between {low} and {high}, got {value}")

    def placed(self, audio: Audio, dice: random.Random) -> Audio:
        """Moves a source to its place in stereo, and returns it. Shape: (2, T)."""
        return place(audio, dice.uniform(-self.pan, self.pan), 1 + dice.uniform(-self.width, self.width))

    def levelled(self, audio: Audio, sample_rate: int, dice: random.Random) -> Audio:
        """Makes a source as loud as drawn, and returns it; silence stays silence. Shape: (C, T)."""
        target = self.level_lufs + dice.uniform(-self.level_spread, self.level_spread)
        found = loudness(audio, sample_rate)
        if found > AUDIBLE_LUFS:
            audio *= np.float32(10 ** ((target - found) / 20))
        return audio


def place(audio: Audio, pan: float, width: float) -> Audio:
    """Moves stereo to another place, as loud as before if its channels have nothing in common.

    Args:
        audio: (2, T), which is changed.
        pan: from -1, left, to 1, right.
        width: factor of the difference between the channels: 0 is mono.

    Returns:
        The same array.
    """
    sides = [math.sqrt(2) * f((pan + 1) * math.pi / 4) for f in (math.cos, math.sin)]
    near, far = ([np.float32(side * (1 + sign * width) / 2) for side in sides] for sign in (1, -1))
    for start in range(0, audio.shape[1], PASS):
        left, right = audio[:, start : start + PASS]
        moved = near[0] * left + far[0] * right
        right[:] = far[1] * left + near[1] * right
        left[:] = moved
    return audio


def common_gain(stems: Sequence[Audio]) -> np.float32:
    """Returns the gain that keeps (C, T) sources and their sum below `CEILING`; 1 where they are."""
    peak = 0.0
    for start in range(0, stems[0].shape[1], PASS):
        parts = [audio[:, start : start + PASS] for audio in stems]
        peak = max(peak, *(max(p.max(), -p.min()) for p in (*parts, functools.reduce(np.add, parts))))
    return np.float32(min(1.0, CEILING / float(peak))) if peak else np.float32(1)
