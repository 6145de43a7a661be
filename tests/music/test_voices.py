"""Variants of a voice: as long and as loud as it, the same again, and none of what is no voice."""

import random

import numpy as np
import pytest
from singers import RATE, sing

from vsep_ray.config import UserError
from vsep_ray.music.levels import loudness
from vsep_ray.music.vocoder import analyse
from vsep_ray.music.voices import VoicesRecipe

EVERY = VoicesRecipe(variants=3, melodies=0.5, choirs=0.5, voices=3, seed=2)


@pytest.mark.parametrize(
    ("channels", "rate"), [(1, 4_000), (2, 8_000), (1, 22_050), (3, 44_100), (1, 64_000)]
)
def test_variants_are_as_long_and_as_loud_at_any_rate_and_number_of_channels(channels, rate):
    recording = np.repeat(sing((57, 60), 0.6, rate), channels, axis=0)[:, :-7]
    sung = list(EVERY.sing(recording, rate, "a"))
    assert len(sung) == 3 and len({audio.tobytes() for audio in sung}) == 3
    for audio in sung:
        assert audio.dtype == np.float32 and audio.shape == recording.shape and np.isfinite(audio).all()
        if rate >= 8_000 and channels < 3:
            assert loudness(audio, rate) == pytest.approx(loudness(recording, rate), abs=0.3)


def test_a_variant_depends_on_seed_and_name_alone():
    recording = sing((57, 60), 0.5)
    first = [audio.tobytes() for audio in EVERY.sing(recording, RATE, "a")]
    assert [audio.tobytes() for audio in EVERY.sing(recording, RATE, "b")] != first
    assert [audio.tobytes() for audio in EVERY.sing(recording, RATE, "a")] == first


@pytest.mark.parametrize("sound", ["silence", "noise", "click"])
def test_what_is_no_voice_has_no_variants(sound):
    noise = np.random.default_rng(0).normal(0, 0.1, (1, RATE)).astype(np.float32)
    recording = {"silence": 0 * noise, "noise": noise, "click": sing((57,), 0.05)}[sound]
    assert not list(EVERY.sing(recording, RATE, "a"))


@pytest.mark.parametrize("num", [2, 5])
def test_a_choir_is_as_high_as_its_voice_and_spread_in_stereo(num):
    voice = analyse(sing((57,), 1.0)[0], RATE)
    mono, wide = (EVERY.choir(voice, num, channels, random.Random(0)) for channels in (1, 2))
    assert mono.shape[0] == 1 and np.corrcoef(wide)[0, 1] < 0.97
    heard = analyse(mono[0], RATE)
    assert 12 * np.log2(np.median(heard.pitch[heard.voiced]) / 220) == pytest.approx(0, abs=0.2)
    one = np.std(EVERY.choir(voice, 1, 1, random.Random(0)))
    assert 0.6 * num**0.5 < np.std(mono) / one < 1.6 * num**0.5


def test_no_variant_begins_or_ends_with_a_click():
    cut = sing((57,), 1.0)[:, 4_000:12_000]
    for audio in EVERY.sing(cut, RATE, "a"):
        assert not audio[:, [0, -1]].any()


@pytest.mark.parametrize("field", ["variants", "transpose", "formants", "melodies", "voices", "spread"])
def test_values_out_of_range_are_refused(field):
    with pytest.raises(UserError, match=f"--dataset.{field} must lie between"):
        VoicesRecipe(**{field: -1}).check()
    VoicesRecipe().check()
