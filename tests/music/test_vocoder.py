"""WORLD's parts of a voice change apart from each other."""

import numpy as np
import pytest
from singers import RATE, sing

from vsep_ray.music import vocoder
from vsep_ray.music.vocoder import analyse, retimed, synthesise, transposed, with_formants


@pytest.fixture(scope="module")
def voice():
    return analyse(sing((45,), 1.0, vibrato=0.2)[0], RATE)


def key(voice):
    return 69 + 12 * np.log2(np.median(voice.pitch[voice.voiced]) / 440)


def again(voice):
    """What is heard of a voice that was put together."""
    return analyse(synthesise(voice), RATE)


def envelope_db(voice, hz):
    """The mean envelope at some frequencies, without its level."""
    mean = 10 * np.log10(voice.envelope[20:-20]).mean(0)
    found = np.interp(hz, np.linspace(0, RATE / 2, len(mean)), mean)
    return found - found.mean()


def test_a_voice_comes_back_as_high_as_loud_and_as_long(voice):
    sound = sing((45,), 1.0, vibrato=0.2)[0]
    back = synthesise(voice)
    assert 0 <= len(back) - len(sound) <= RATE // vocoder.PER_SECOND
    assert np.std(back) == pytest.approx(np.std(sound), rel=0.25)
    assert key(again(voice)) == pytest.approx(45, abs=0.05)


@pytest.mark.parametrize("semitones", [-5, 2.5, 7])
def test_a_transposed_voice_is_higher_by_as_much_and_keeps_its_formants(voice, semitones):
    heard, hz = again(transposed(voice, semitones)), np.linspace(300, 3_000, 100)
    assert key(heard) == pytest.approx(45 + semitones, abs=0.05)
    off = envelope_db(heard, hz) - envelope_db(again(voice), hz)
    assert np.sqrt(np.mean(off**2)) < 2


@pytest.mark.parametrize("ratio", [0.85, 1.0, 1.15])
def test_formants_move_by_the_ratio_and_the_pitch_stays(voice, ratio):
    heard, hz = again(with_formants(voice, ratio)), np.linspace(300, 3_000, 300)
    assert key(heard) == pytest.approx(45, abs=0.05)
    ratios = np.arange(0.7, 1.3, 0.01)
    before = envelope_db(again(voice), hz)
    off = [np.std(envelope_db(heard, hz * r) - before) for r in ratios]
    assert ratios[np.argmin(off)] == pytest.approx(ratio, abs=0.02)


def test_silence_stays_silent_and_has_no_voice():
    voice = analyse(np.zeros(RATE), RATE)
    assert not voice.voiced.any() and np.abs(synthesise(voice)).max() < 1e-6


def test_a_pitch_that_no_voice_has_stays_at_the_end_of_the_range(voice):
    assert transposed(voice, -48).pitch.max() == vocoder.SUNG[0]
    assert transposed(voice, 48).pitch.max() == vocoder.SUNG[1]
    for semitones in (-48, 48):
        assert np.isfinite(synthesise(transposed(voice, semitones))).all()


def test_a_retimed_voice_takes_the_nearest_frames(voice):
    turned = retimed(voice, np.array([-3.0, 10.4, 10.6, 1e6]))
    np.testing.assert_array_equal(turned.pitch, voice.pitch[[0, 10, 11, -1]])
    np.testing.assert_array_equal(turned.envelope, voice.envelope[[0, 10, 11, -1]])


@pytest.mark.parametrize("rate", vocoder.RATES)
def test_the_shortest_voice_is_taken_apart_and_put_together(rate):
    sound = sing((60,), vocoder.SHORTEST, rate)[0]
    assert np.isfinite(synthesise(analyse(sound, rate))).all()
