"""Surveys: songs are added up, silence is left out."""

import numpy as np
import pytest

from vsep_ray.survey.sources import LONGEST_SECONDS, Song, survey

RATE = 8_000
TONE = (0.1 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.float32)


def song(name, *crops):
    audio = np.stack(crops)[:, None] if crops else np.zeros((0, 1, RATE), np.float32)
    return Song(name, "train", tuple(range(len(crops))), audio, audio[:0])


def test_songs_add_up():
    found = survey("bass", iter([song("a", TONE, TONE / 10), song("b", TONE), song("silent")]), RATE)
    assert found.songs == 2 and len(found.lufs) == len(found.onsets) == 3
    assert sorted(np.round(found.lufs)) == [-44, -24, -24] and round(found.median_lufs) == -24
    assert found.keys.argmax() == 48
    assert found.power.sum() == pytest.approx((2 + 0.01) / 3 * 0.005, rel=0.01)


def test_a_source_that_is_silent_has_no_figures():
    found = survey("bass", [song("silent")], RATE)
    assert (found.songs, found.lufs, found.median_lufs, found.findings) == (0, (), None, ())


def test_what_is_wrong_is_told_with_its_song():
    (found,) = survey("bass", [song("a", TONE + np.float32(0.05)), song("b", TONE)], RATE).findings
    assert (found.kind, found.track, found.source) == ("DC offset", "a", "bass")


def test_of_long_crops_the_beginning_counts():
    long = np.concatenate([TONE, np.zeros(int((LONGEST_SECONDS - 1) * RATE)), TONE]).astype(np.float32)
    assert survey("bass", [song("a", long)], RATE).power.sum() == pytest.approx(0.005 / 10, rel=0.05)
