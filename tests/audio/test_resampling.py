"""Streams equal whole arrays; delays and lengths are exact."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsep_ray.audio.resampling import fit_length, map_channels, resample, resample_blocks


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from([(44_100, 8_000), (8_000, 44_100), (48_000, 44_100), (22_050, 22_050), (96_000, 8_000)]),
    st.integers(1, 20_000),
    st.integers(1, 5_000),
)
def test_a_stream_in_blocks_equals_the_whole(rates, length, block):
    audio = np.random.default_rng(length).standard_normal((2, length)).astype(np.float32)
    whole = resample(audio, *rates)
    parts = list(resample_blocks((audio[:, i : i + block] for i in range(0, length, block)), *rates))
    assert abs(whole.shape[1] - length * rates[1] / rates[0]) <= 0.5
    assert np.array_equal(np.concatenate([np.zeros((2, 0), np.float32), *parts], 1), whole)


@pytest.mark.parametrize(("up", "down"), [(48_000, 8_000), (44_100, 8_000)])
def test_there_and_back_has_no_delay(up, down):
    t = np.arange(up) / up
    sine = np.sin(2 * np.pi * 440 * t).astype(np.float32)[None]
    back = resample(resample(sine, up, down), down, up)
    assert np.abs(back - sine)[:, 2000:-2000].max() < 1e-4


def test_channels():
    audio = np.float32([[1, 2], [3, 4], [5, 6]])
    assert map_channels(audio, 1).tolist() == [[3, 4]]
    assert map_channels(audio, 2).tolist() == [[1, 2], [3, 4]]
    assert map_channels(audio[:1], 2).tolist() == [[1, 2], [1, 2]]
    assert map_channels(audio[:2], 3).tolist() == [[1, 2], [3, 4], [0, 0]]
    assert map_channels(audio[None], 6).shape == (1, 6, 2)
    assert map_channels(audio, 3) is audio


def test_fit_length():
    assert fit_length(np.ones((2, 3)), 2).shape == (2, 2)
    assert fit_length(np.ones((2, 3)), 5)[0].tolist() == [1, 1, 1, 0, 0]
