"""Loudness: the figures of the standard and of pyloudnorm's own meter."""

import math

import numpy as np
import pyloudnorm
import pytest

from vsep_ray.audio.loudness import loudness, short_loudness

RATE = 16_000
NOISE = np.random.default_rng(0).normal(0, 0.05, (2, RATE)).astype(np.float32)


def test_loudness_is_that_of_the_standard():
    """EBU Tech 3341, case 1: a stereo sine of 1 kHz at -23 dBFS is -23 LUFS."""
    time = np.arange(20 * 48_000) / 48_000
    sine = np.tile(10 ** (-23 / 20) * np.sin(2 * np.pi * 1_000 * time), (2, 1)).astype(np.float32)
    assert loudness(sine, 48_000) == pytest.approx(-23, abs=0.1)
    assert loudness(np.zeros((1, RATE), np.float32), RATE) == loudness(NOISE[:, :100], RATE) == -math.inf


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_loudness_is_that_of_pyloudnorm(rate):
    envelope = np.repeat(np.random.default_rng(1).uniform(0, 1, (1, 24)) ** 4, rate, 1)
    audio = (envelope * np.random.default_rng(2).normal(0, 0.1, (2, 24 * rate))).astype(np.float32)
    for channels in (1, 2):
        meter = pyloudnorm.Meter(rate).integrated_loudness(audio[:channels].T.astype(np.float64))
        assert loudness(audio[:channels], rate) == pytest.approx(meter, abs=0.001)


def test_less_than_a_block_has_the_loudness_that_it_would_have_if_it_went_on():
    time = np.arange(RATE) / RATE
    sine = (0.1 * np.sin(2 * np.pi * 1_000 * time)).astype(np.float32)[None]
    assert short_loudness(sine, RATE) == loudness(sine, RATE)
    assert short_loudness(sine[:, : RATE // 8], RATE) == pytest.approx(loudness(sine, RATE), abs=0.1)
    assert short_loudness(0 * sine[:, : RATE // 8], RATE) == -math.inf
