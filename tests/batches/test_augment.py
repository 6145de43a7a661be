"""Augmentation: levels as drawn, no two clips of one song, sources that always add up."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vsep_ray.audio.loudness import crop_loudness
from vsep_ray.batches.augment import AugmentConfig, augmented, level_factors, limited, silenced
from vsep_ray.batches.effects import EFFECTS
from vsep_ray.batches.remixing import draw_remix
from vsep_ray.batches.windows import Window
from vsep_ray.config import UserError
from vsep_ray.crops.encoding import encode

RATE = 8_000
EVERYTHING = AugmentConfig(
    -20, 9, 1, polarity=True, channel_swap=True, silence=0.1, extra=(0.5, 0.5), limiter=1, align=0.5,
    **dict.fromkeys(EFFECTS, 0.5),
)  # fmt: skip
ON = [field.name for field in dataclasses.fields(AugmentConfig)]


def rng(seed=0):
    return np.random.default_rng(seed)


def window_of(songs, channels=1, length=1_500):
    """A song's clip is noise between 0 and twice its number / 100, or, of 4 samples, the number / 100."""
    values = np.array([*songs], np.float32)[:, None, None] / 100
    clips = values * (1 if length == 4 else rng().uniform(0, 2, (len(values), channels, length)))
    pcm, gain = encode(np.broadcast_to(clips, (len(values), channels, length)).astype(np.float32))
    names = np.array([f"song-{i}" for i in songs], object)
    block = {"track": names, "offset": np.zeros(len(names), int), "gain": gain}
    return Window(lambda: [block | {"audio": [p.tobytes() for p in pcm]}], 100, 0, channels)


def noise(num, channels=1, length=2_000, level=0.1):
    return rng(7).normal(0, level, (num, channels, length)).astype(np.float32)


def test_without_a_field_clips_are_what_they_were():
    np.testing.assert_array_equal(augmented(noise(5), rng(), AugmentConfig(), RATE), noise(5))


def test_gains_keep_to_their_bounds_and_half_of_the_signs_change():
    clips = augmented(np.ones((400, 1, 8), np.float32), rng(), AugmentConfig(gain_db=6, polarity=True), RATE)
    gain_db = 20 * np.log10(np.abs(clips[:, 0, 0]))
    assert -6.001 < gain_db.min() < -5 and 5 < gain_db.max() < 6.001
    assert 0.4 < (clips[:, 0, 0] < 0).mean() < 0.6 and clips.dtype == np.float32


def test_channels_are_swapped_in_half_of_the_clips():
    clips = np.tile(np.float32([[1], [-1]]), (400, 1, 8))
    swapped = augmented(clips, rng(), AugmentConfig(channel_swap=True), RATE)
    np.testing.assert_array_equal(swapped[:, 0], -swapped[:, 1])
    assert 0.4 < (swapped[:, 0, 0] < 0).mean() < 0.6


def test_crops_are_brought_to_their_loudness_and_spread_about_it():
    clips = noise(300) * np.linspace(0.1, 3, 300, dtype=np.float32)[:, None, None]
    levelled = augmented(clips, rng(), AugmentConfig(-23), RATE)
    np.testing.assert_allclose(crop_loudness(levelled, RATE), -23, atol=0.01)
    found = crop_loudness(augmented(clips, rng(), AugmentConfig(-23, level_spread=9), RATE), RATE)
    assert found.mean() == pytest.approx(-23, abs=1.6) and found.std() == pytest.approx(9, abs=1.2)
    np.testing.assert_array_equal(level_factors(np.zeros((2, 1, 50), np.float32), -23, RATE), 1)


@pytest.mark.parametrize("name", EFFECTS)
def test_effects_leave_a_clip_as_loud_as_it_was(name):
    clips = noise(40)
    clips[0] = 0
    changed = augmented(clips, rng(), AugmentConfig(**{name: 0.5}), RATE)
    assert 8 < sum(not np.array_equal(a, b) for a, b in zip(clips, changed, strict=True)) < 32
    np.testing.assert_allclose((changed**2).mean((1, 2)), (clips**2).mean((1, 2)), rtol=1e-4)


def test_silence_falls_on_clips_in_its_true_proportion():
    silent = silenced(noise(2_000, length=4), rng(), 0.2).any((1, 2)) == 0
    assert silent.mean() == pytest.approx(0.2, abs=0.03)


def test_a_limiter_is_one_gain_curve_for_all_sources():
    remix = np.stack([noise(6, 2), 3 * noise(6, 2)[::-1]], 1)
    out = limited(remix.copy(), rng(), 1.0, RATE)
    gain = out[:, 0] / remix[:, 0]
    np.testing.assert_allclose(out[:, 1], gain * remix[:, 1], atol=1e-5)
    np.testing.assert_allclose(gain[:, 0], gain[:, 1], rtol=1e-3)
    assert 0 < gain.min() < 0.8 and gain.max() <= 1.0001
    np.testing.assert_array_equal(limited(remix.copy(), rng(), 0.0, RATE), remix)


@settings(max_examples=40, deadline=None)
@given(st.sets(st.sampled_from(ON)), st.integers(0, 100), st.sampled_from([1, 2]))
def test_sources_add_up_to_what_was_done_to_their_mixture(names, seed, channels):
    """With the limiter: its gain curve times the sum of the sources before it."""
    chosen = AugmentConfig(**{name: getattr(EVERYTHING, name) for name in names})
    windows = [window_of(range(k, 40, 3), channels) for k in range(3)]
    remix = draw_remix(windows, rng(seed), 4, chosen, RATE)
    assert remix.shape == (4, 3, channels, 1_500) and remix.isfinite().all()
    before = draw_remix(windows, rng(seed), 4, dataclasses.replace(chosen, limiter=0), RATE)
    loudest = before.abs().sum(1).clamp_min(1e-9)
    gain = (remix.abs().sum(1) / loudest).unsqueeze(1)
    torch.testing.assert_close(remix, gain * before, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(remix.sum(1), gain[:, 0] * before.sum(1), atol=1e-5, rtol=1e-4)
    if "limiter" not in names:
        torch.testing.assert_close(remix, before, atol=0, rtol=0)


def test_extra_clips_are_of_other_songs_and_few_songs_give_fewer():
    windows = [window_of(range(k, 12, 2), length=4) for k in range(2)]
    remix = draw_remix(windows, rng(), 400, AugmentConfig(extra=(1.0,)), RATE)[:, :, 0, 0]
    values = set((remix * 100).round().flatten().tolist())
    assert values <= {a + b for a in range(12) for b in range(12) if a != b and (a + b) % 2 == 0}
    few = [window_of([3], length=4), window_of([4], length=4)]
    alone = draw_remix(few, rng(), 5, AugmentConfig(extra=(1.0,)), RATE)[:, :, 0, 0]
    torch.testing.assert_close(alone, torch.tensor([[0.03, 0.04]] * 5), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "wrong", [{"silence": 1.2}, {"extra": (0.2, -1)}, {"pitch": 2}, {"level_spread": -1}]
)
def test_what_is_no_probability_is_refused(wrong):
    with pytest.raises(UserError, match=next(iter(wrong)).replace("_", ".")):
        AugmentConfig(**wrong)
