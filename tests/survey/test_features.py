"""Features: the level of a tone, its key, and the number of hits, against what was put in."""

import numpy as np
import pytest

from vsep_ray.survey.features import key_histogram, onsets, power_spectrum

RATE = 16_000
TIME = np.arange(2 * RATE) / RATE
NOISE = np.random.default_rng(0).normal(0, 0.1, len(TIME))


def crop(signal):
    return np.asarray(signal, np.float32)[None]


def test_a_full_scale_sine_has_half_the_power_of_full_scale():
    power = power_spectrum(crop(np.sin(2 * np.pi * 1_000 * TIME))[None])
    assert power.sum() == pytest.approx(0.5, rel=1e-3)
    assert power.argmax() / (len(power) - 1) * RATE / 2 == pytest.approx(1_000, abs=RATE / 2_048)


def test_the_spectrum_of_noise_is_flat_and_adds_up_to_its_variance():
    power = power_spectrum(np.stack([crop(NOISE)] * 2))
    assert power.sum() == pytest.approx(0.01, rel=0.03)
    low, high = power[1:512].mean(), power[512:].mean()
    assert low == pytest.approx(high, rel=0.1)


@pytest.mark.parametrize("key", [7, 27, 48, 75])
def test_a_tone_is_found_at_its_key(key):
    tone = 0.3 * np.sin(2 * np.pi * 27.5 * 2 ** (key / 12) * TIME)
    histogram = key_histogram(crop(tone)[None], RATE)
    assert histogram.argmax() == key and histogram[key] > 0.9 * histogram.sum()


def test_partials_count_up_to_a_tenth_of_the_strongest_and_silence_has_none():
    partials = sum(a * np.sin(2 * np.pi * hz * TIME) for a, hz in [(0.3, 440), (0.1, 880), (0.01, 1_760)])
    assert list(np.flatnonzero(key_histogram(crop(partials)[None], RATE))) == [48, 60]
    assert not key_histogram(crop(0 * TIME)[None], RATE).any()


@pytest.mark.parametrize("carrier", [NOISE, 0.3 * np.sin(2 * np.pi * 200 * TIME)], ids=["noise", "tone"])
def test_onsets_are_the_hits_but_for_one_that_the_crop_begins_with(carrier):
    hits = np.exp(-(TIME % 0.25) / 0.05) * carrier
    assert onsets(crop(hits), RATE) == 7


@pytest.mark.parametrize(
    "signal",
    [NOISE, 0 * TIME, np.sin(2 * np.pi * (300 * TIME + 50 * TIME**2))],
    ids=["noise", "none", "glide"],
)
def test_what_goes_on_evenly_has_no_onsets(signal):
    assert onsets(crop(signal), RATE) == 0


def test_a_crop_may_be_shorter_than_any_window():
    tiny = crop(NOISE[:5])
    assert onsets(tiny, RATE) == 0 and key_histogram(tiny[None], RATE).sum() <= 3
    assert np.isfinite(power_spectrum(tiny[None])).all()
