"""Fit: the same harmony and the same tempo score highest, whatever the level, octave and place in time."""

import numpy as np
import pytest

from vsep_ray.batches.alignment import describe

RATE, SECONDS = 16_000, 4
TIME = np.arange(RATE * SECONDS) / RATE


def chord(*keys):
    return sum(np.sin(2 * np.pi * 440 * 2 ** ((key - 69) / 12) * TIME) for key in keys)


def clicks(period, start=0.0):
    audio = np.zeros(len(TIME))
    for at in np.arange(start, SECONDS - 0.1, period):
        place = round(at * RATE)
        audio[place : place + 800] = np.random.default_rng(0).normal(0, 1, 800)
    return audio


def fit(one, other):
    both = describe(np.stack([one, other])[:, None].astype(np.float32), RATE)
    return float(both[0] @ both[1])


def test_a_chord_fits_itself_in_another_octave_and_not_its_neighbour():
    major = (60, 64, 67)
    same = fit(chord(*major), 0.1 * chord(*(key + 12 for key in major)))
    assert same > 0.8 > 0.3 > fit(chord(*major), chord(*(key + 1 for key in major)))


def test_a_beat_fits_itself_at_another_time_and_not_another_tempo():
    assert fit(clicks(0.5), clicks(0.5, start=0.2)) > fit(clicks(0.5), clicks(0.36)) + 0.5


@pytest.mark.parametrize("shape", [(3, 1, 20), (2, 2, 4_000), (1, 1, 2_048)])
def test_silence_and_clips_without_a_beat_fit_nothing(shape):
    described = describe(np.zeros(shape, np.float32), RATE)
    assert described.shape[0] == shape[0] and np.isfinite(described).all() and not described.any()
