"""Styles: every pattern is in the letters of the notation, and every style is a band that can play songs."""

import dataclasses

import pytest

from vsep_ray.music.band.composer import is_minor
from vsep_ray.music.band.notation import Part, marks, tiled
from vsep_ray.music.band.parts import DRUMS
from vsep_ray.music.band.pitches import SCALES, chord, compass
from vsep_ray.music.band.styles import STYLES

LETTERS = {"bass": "135678naw", "lead": "x"} | dict.fromkeys(
    ("guitar", "second", "keys", "pad"), "xodu012345bfmpghrXDU"
)
pytestmark = pytest.mark.parametrize("style", STYLES, ids=lambda s: s.name)


def test_patterns_are_in_the_letters_of_their_part(style):
    for role, letters in LETTERS.items():
        for pattern in getattr(style, role).patterns:
            assert set(pattern) <= set(letters + ".-/"), f"{role}: {pattern}"


def test_patterns_come_round_with_the_bars(style):
    hands = [
        h for role in LETTERS for p in getattr(style, role).patterns if role != "lead" for h in p.split("/")
    ]
    grooves = [pattern for groove in style.drums.patterns for pattern in groove.split()[1::2]]
    for pattern in hands + grooves:
        assert tiled(pattern, 2 * style.bar, 2 * style.bar) == tiled(pattern, 0, 2 * style.bar), pattern


def test_grooves_name_drums_each_with_its_strokes(style):
    for groove in style.drums.patterns:
        words = groove.split()
        assert len(words) % 2 == 0 and set(words[::2]) <= DRUMS.keys(), groove
        assert all(marks(pattern) and set(pattern) <= set("xXo.") for pattern in words[1::2]), groove
        assert len(set(words[::2])) == len(words) // 2, groove


def test_progressions_are_chords_and_verse_and_chorus_need_not_share_one(style):
    for progression in style.progressions:
        assert all(chord(name, 0).tones for bar in progression.split() for name in bar.split(","))
    for minor in {is_minor(p) for p in style.progressions}:
        mode = [p for p in style.progressions if is_minor(p) == minor]
        assert len(mode) >= (2 if "C" in "".join(style.forms) else 1)


def test_instruments_are_of_the_families_that_their_roles_say(style):
    assert all(24 <= p < 32 for p in style.guitar.programs)
    assert all(p < 8 for p in style.keys.programs)
    assert all(p >= 8 and p // 8 not in (3, 4) for p in style.pad.programs)
    for role in (f.name for f in dataclasses.fields(style) if isinstance(getattr(style, f.name), Part)):
        assert all(
            0 <= p < 128 and compass(p)[1] - compass(p)[0] >= 20 for p in getattr(style, role).programs
        )
    assert len(set(style.counter)) >= 3


def test_metre_tempo_swing_and_modes_are_possible(style):
    assert 40 < style.tempo[0] < style.tempo[1] < 220
    assert style.swing == 0.5 or (0.5 < style.swing <= 0.67 and style.bar % style.swung == 0)
    assert set(style.modes) <= SCALES.keys()
    assert set("".join(style.forms)) <= set("IVCBS") and style.bar == 16 * style.metre[0] / style.metre[1]
