"""Toy waves: the Fourier series, the piano, and draws that depend on (seed, split, track, shape) alone."""

import dataclasses

import numpy as np
import pytest

from vsep_ray.config import UserError
from vsep_ray.datasets.toy import SHAPES, ToyConfig, fourier_sine, piano_keys, render, wave

CONFIG = ToyConfig(train_tracks=6, valid_tracks=2, test_tracks=3)


def test_88_piano_keys_from_a0_to_c8():
    keys = piano_keys(27.5, 4_186.01)
    assert len(keys) == 88
    assert np.isclose(keys[48], 440)
    assert len(piano_keys(220, 880)) == 25
    with pytest.raises(UserError, match="piano key"):
        piano_keys(10, 20)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_fourier_series_converges_to_the_naive_wave(shape):
    naive = wave(shape, 100, 0.1234, 2_000_000, 20_000, band_limited=False)
    series = wave(shape, 100, 0.1234, 2_000_000, 20_000, band_limited=True)
    assert np.sqrt(np.mean((naive - series) ** 2)) < 0.011
    assert np.isclose(np.abs(naive).max(), 1, atol=1e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_band_limited_wave_holds_its_harmonics_below_nyquist_and_nothing_else(shape):
    spectrum = np.abs(np.fft.rfft(wave(shape, 300, 0.3, 8_000, 8_000, band_limited=True))) / 4_000
    expected = np.zeros(4_001)
    expected[300:4_000:300] = np.abs(fourier_sine(shape, 13))
    np.testing.assert_allclose(spectrum, expected, atol=1e-10)


def test_a_square_wave_aliases_only_when_naive():
    def energy_between_harmonics(band_limited):
        spectrum = np.abs(np.fft.rfft(wave("square", 300, 0.3, 8_000, 8_000, band_limited=band_limited)))
        spectrum[::300] = 0
        return spectrum.max()

    assert energy_between_harmonics(True) < 1e-6 < 10 < energy_between_harmonics(False)


def test_tracks_are_unique_and_in_one_split_each():
    made = CONFIG.find()
    assert [t.split for t in made] == ["train"] * 6 + ["valid"] * 2 + ["test"] * 3
    assert len({t.id for t in made}) == 11
    assert {tuple(s.source for s in t.stems) for t in made} == {SHAPES}


def test_draws_depend_on_seed_split_track_and_shape_alone():
    made = CONFIG.find()
    sources = [render(t, CONFIG, 8_000, 1, 256) for t in made]
    again = render(made[3], CONFIG, 8_000, 1, 256)
    fewer = dataclasses.replace(CONFIG, shapes=("square", "sine"), train_tracks=4)
    for shape in fewer.shapes:
        np.testing.assert_array_equal(sources[3][shape], again[shape])
        np.testing.assert_array_equal(sources[3][shape], render(fewer.find()[3], fewer, 8_000, 1, 256)[shape])
    first = np.stack([s["sine"] for s in sources])
    assert len(np.unique(first.round(6), axis=0)) == len(made)
    other_seed = render(made[3], dataclasses.replace(CONFIG, seed=1), 8_000, 1, 256)
    assert not np.allclose(other_seed["sine"], again["sine"])


def test_keys_amplitudes_and_channels():
    config = dataclasses.replace(CONFIG, lowest_hz=440, highest_hz=440.1)
    sine = render(config.find()[0], config, 44_000, 2, 44_000)["sine"]
    assert sine.shape == (2, 44_000) and sine.dtype == np.float32
    np.testing.assert_array_equal(sine[0], sine[1])
    assert np.abs(np.fft.rfft(sine[0])).argmax() == 440
    assert 0.2 <= np.abs(sine).max() <= 1


def test_keys_above_nyquist_are_left_out():
    config = dataclasses.replace(CONFIG, lowest_hz=3_900, highest_hz=4_186.01)
    sine = render(config.find()[0], config, 8_000, 1, 8_000)["sine"][0]
    assert np.abs(np.fft.rfft(sine)).argmax() == 3951
