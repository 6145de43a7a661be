"""Effects change how a clip sounds, not what it plays, and never make sound of silence."""

import numpy as np
import pytest

from vsep_ray.batches.effects import EFFECTS, SEMITONES, gain_curve

RATE = 16_000


def tone(hz=440.0, seconds=1.0, channels=1):
    time = np.arange(round(seconds * RATE)) / RATE
    return np.tile(0.3 * np.sin(2 * np.pi * hz * time), (channels, 1)).astype(np.float32)


def rng(seed=0):
    return np.random.default_rng(seed)


def loudest_hz(clip):
    spectrum = np.abs(np.fft.rfft(clip[0] * np.hanning(clip.shape[1])))
    return spectrum.argmax() * RATE / clip.shape[1]


@pytest.mark.parametrize("name", EFFECTS)
@pytest.mark.parametrize("shape", [(1, 20), (1, 4_000), (2, 20_001)])
def test_every_effect_keeps_the_shape_and_follows_its_generator(name, shape):
    clip = rng().normal(0, 0.1, shape).astype(np.float32)
    before = clip.copy()
    for seed in range(4):
        changed = EFFECTS[name](clip, RATE, rng(seed))
        assert changed.shape == shape and changed.dtype == np.float32
        assert np.isfinite(changed).all()
        np.testing.assert_array_equal(changed, EFFECTS[name](clip, RATE, rng(seed)))
    np.testing.assert_array_equal(clip, before)


@pytest.mark.parametrize("name", EFFECTS)
def test_silence_stays_silent(name):
    assert np.abs(EFFECTS[name](np.zeros((2, 4_000), np.float32), RATE, rng())).max() < 1e-6


@pytest.mark.parametrize("name", ["speed", "pitch"])
def test_pitches_move_by_what_is_drawn(name):
    for seed in range(6):
        drawn = rng(seed)
        if name == "pitch":
            drawn.integers(1 << 31)  # the seed of the stretcher
        expected = 440 * 2 ** (drawn.uniform(-SEMITONES, SEMITONES) / 12)
        moved = EFFECTS[name](tone(seconds=4), RATE, rng(seed))
        assert loudest_hz(moved) == pytest.approx(expected, rel=0.01)


def test_a_pitch_that_moves_stays_in_time():
    clip = tone(seconds=4)
    clip[:, : 2 * RATE] = 0
    moved = EFFECTS["pitch"](clip, RATE, rng(1))
    assert np.abs(moved[0] > 0.2).argmax() / RATE == pytest.approx(2, abs=0.05)


def test_an_equaliser_is_linear_and_no_more_than_a_filter():
    one, other = (rng(seed).normal(0, 0.1, (1, 4_000)).astype(np.float32) for seed in range(2))
    equaliser = EFFECTS["equaliser"]
    both = equaliser(one + other, RATE, rng(3))
    np.testing.assert_allclose(both, equaliser(one, RATE, rng(3)) + equaliser(other, RATE, rng(3)), atol=1e-5)
    assert loudest_hz(equaliser(tone(), RATE, rng(3))) == pytest.approx(440, abs=1)


def test_saturation_adds_odd_harmonics():
    spectrum = np.abs(np.fft.rfft(EFFECTS["saturation"](tone(500.0), RATE, rng(1))[0]))
    assert spectrum[1_500] > 0.01 * spectrum[500]
    assert spectrum[1_000] < 1e-3 * spectrum[500]


def test_compression_brings_loud_and_soft_together():
    clip = np.concatenate([tone(), 0.05 * tone()], axis=1)
    changed = EFFECTS["compression"](clip, RATE, rng())
    loud, soft = (np.sqrt(np.mean(part**2)) for part in np.split(changed, 2, axis=1))
    assert 1 < loud / soft < 15
    np.testing.assert_allclose(changed[:, RATE + 8_000 :], clip[:, RATE + 8_000 :], rtol=0.05)


def test_a_room_sounds_on_after_a_click_and_decays():
    click = np.zeros((1, RATE), np.float32)
    click[0, 100] = 1
    room = EFFECTS["reverberation"](click, RATE, rng())[0]
    np.testing.assert_allclose(room[:100], 0, atol=1e-6)
    assert room[100] == pytest.approx(1, abs=0.05)
    energy = (room[101:15_101] ** 2).reshape(3, -1).sum(1)
    assert energy[0] > 10 * energy[1] >= 0


def test_a_gain_curve_brings_down_what_is_louder_and_no_more():
    level = np.abs(np.concatenate([tone(), 3 * tone(), tone()], axis=1)).max(0)
    gain = gain_curve(level, RATE, -6, 0.005, 0.1)
    assert gain.shape == level.shape and gain.min() > 0 and gain.max() <= 1
    assert (gain[: RATE // 2] > 0.999).all()
    held = (gain * level)[RATE + RATE // 2 : 2 * RATE - 100].max()
    assert held == pytest.approx(0.9 / 2, rel=0.1)
    np.testing.assert_allclose(gain_curve(10 * level, RATE, -6, 0.005, 0.1), gain, rtol=1e-4)
