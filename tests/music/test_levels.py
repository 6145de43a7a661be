"""Levels: as loud as asked by BS.1770, at a place in stereo, and the sum of the stems never clips."""

import dataclasses
import random

import numpy as np
import pytest

from vsep_ray.audio.loudness import loudness
from vsep_ray.config import UserError
from vsep_ray.music.levels import CEILING, LevelsConfig, common_gain, place

RATE = 16_000
NOISE = np.random.default_rng(0).normal(0, 0.05, (2, 3 * RATE)).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 2])
def test_sources_are_as_loud_as_asked(channels):
    exact = LevelsConfig(level_lufs=-30, level_spread=0)
    found = exact.levelled(NOISE[:channels].copy(), RATE, random.Random(0))
    assert loudness(found, RATE) == pytest.approx(-30, abs=0.1) and found.dtype == np.float32
    spread = dataclasses.replace(exact, level_spread=6)
    levels = [
        loudness(spread.levelled(NOISE[:channels].copy(), RATE, random.Random(i)), RATE) for i in range(20)
    ]
    assert -36 <= min(levels) < -33 and -27 < max(levels) <= -24


def test_silence_stays_silence():
    silence = np.zeros((2, RATE), np.float32)
    assert not LevelsConfig().levelled(silence, RATE, random.Random(0)).any()
    assert common_gain([silence, silence]) == 1


def test_a_place_moves_energy_and_keeps_it():
    left, middle, right = (place(NOISE.copy(), pan, 1) for pan in (-1, 0, 1))
    assert np.abs(left[1]).max() < 1e-6 and np.abs(right[0]).max() < 1e-6
    np.testing.assert_allclose(middle, NOISE, atol=1e-6)
    for moved in (left, right, place(NOISE.copy(), 0.3, 1)):
        assert np.square(moved).sum() == pytest.approx(np.square(NOISE).sum(), rel=0.02)
    mono = place(NOISE.copy(), 0, 0)
    np.testing.assert_array_equal(mono[0], mono[1])
    exact = dataclasses.replace(LevelsConfig(), pan=0, width=0)
    np.testing.assert_allclose(exact.placed(NOISE.copy(), random.Random(0)), NOISE, atol=1e-6)


def test_neither_a_source_nor_the_sum_clips():
    for stems in ([NOISE * 9], [NOISE * 5, NOISE * 4], [NOISE * 9, -NOISE * 9], [NOISE]):
        gain = common_gain(stems)
        peaks = [np.abs(audio * gain).max() for audio in (*stems, np.sum(stems, 0))]
        assert max(peaks) <= CEILING * 1.000001 and (gain == 1 or max(peaks) > 0.99 * CEILING)


@pytest.mark.parametrize("field", ["level_lufs", "level_spread", "pan", "width"])
def test_values_out_of_range_are_refused(field):
    with pytest.raises(UserError, match=f"--dataset.{field.replace('_', '-')} must lie between"):
        LevelsConfig(**{field: 1_000.0}).check()
    LevelsConfig().check()
