"""Another melody is sung with the same vibrato, in the singer's range, note by note."""

import random

import numpy as np
import pytest
from singers import course

from vsep_ray.music.melody import SHORTEST, Tone, along, compose, keys_of, notes_of
from vsep_ray.music.vocoder import PER_SECOND, Voice

MELODY = [Tone(key, 1.0) for key in (72, 74, 76, 77, 79)]


def voice_of(keys):
    """A voice of a course of keys, frame by frame; NaN is no voice."""
    pitch = np.nan_to_num(440 * 2 ** ((np.asarray(keys) - 69) / 12))
    return Voice(pitch, np.ones((len(pitch), 3)), np.ones((len(pitch), 3)), 16_000)


def held(*keys, seconds=0.6, vibrato=0.0):
    return course(keys, seconds * len(keys), PER_SECOND, vibrato)


def test_notes_are_found_below_vibrato_and_between_silence():
    silence = np.full(40, np.nan)
    found = notes_of(voice_of(np.concatenate([silence, held(57, 60, vibrato=0.5), silence, held(55)])))
    assert [round(note.key) for note in found] == [57, 60, 55]
    np.testing.assert_allclose([n.start for n in found], [40, 160, 320], atol=12)
    assert [n.end for n in found][1:] == [280, 440] and found[0].end == found[1].start


def test_a_slide_belongs_to_the_note_that_it_leads_to():
    slide = np.linspace(57, 62, 24)
    found = notes_of(voice_of(np.concatenate([held(57), slide, held(62)])))
    assert [round(note.key) for note in found] == [57, 62]


def test_what_never_sounds_has_no_notes():
    nothing = voice_of(np.full(100, np.nan))
    assert notes_of(nothing) == [] and not keys_of(nothing).any()
    assert not along(nothing, MELODY, random.Random(0)).any()


def test_every_note_becomes_the_next_of_the_melody_and_keeps_its_vibrato():
    sung = held(57, 60, 59, vibrato=0.3)
    moved = sung + along(voice_of(sung), MELODY, random.Random(3))
    middles = [moved[i * 120 + 30 : i * 120 + 103] for i in range(3)]  # two periods of 5.5 Hz
    tones = [round(float(np.mean(m))) for m in middles]
    steps = np.diff([tone.key for tone in MELODY * 2]) % 12
    assert list(np.diff(tones) % 12) in [list(steps[i : i + 2]) for i in range(5)]
    for middle, tone in zip(middles, tones, strict=True):
        assert np.mean(middle) == pytest.approx(tone, abs=0.1)
        assert np.ptp(middle) == pytest.approx(0.6, abs=0.05)


def test_a_melody_stays_about_the_singers_range():
    sung = held(45, 47, 48, 43, 45)
    wide = [Tone(key, 0.3) for key in range(50, 98, 5)]
    moved = sung + along(voice_of(sung), wide, random.Random(0))
    assert moved.min() >= 38 and moved.max() <= 52


def test_a_long_note_has_several_tones():
    sung = held(57, seconds=4.0)
    moved = sung + along(voice_of(sung), MELODY, random.Random(0))
    assert len(set(np.round(moved[50::200]))) >= 3


def test_melodies_are_composed_by_seed():
    first = compose(3)
    assert compose(3) == first and compose(4) != first
    assert all(tone.seconds >= SHORTEST for tone in first) and len(first) >= 8
