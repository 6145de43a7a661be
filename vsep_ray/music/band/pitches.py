"""Chords, scales and voicings say what pitches a song uses, and how chords lead into one another."""

import re
from collections.abc import Sequence
from itertools import cycle, islice
from typing import NamedTuple

NUMERALS = ("i", "ii", "iii", "iv", "v", "vi", "vii")
SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "pentatonic": (0, 2, 4, 7, 9),
    "blues": (0, 2, 3, 4, 7, 9, 10),
    "minor blues": (0, 3, 5, 6, 7, 10),
}
ABOVE_THE_THIRD = {
    "": (7,),
    "sus": (7,),
    "6": (7, 9),
    "7": (7, 10),
    "maj7": (7, 11),
    "9": (7, 10, 2),
    "maj9": (7, 11, 2),
    "add9": (7, 2),
    "o7": (6, 9),
    "ø7": (6, 10),
}
COMPASSES = {  # lowest and highest pitch that sounds natural, by the first program that has it
    0: (28, 100), 8: (60, 96), 11: (53, 89), 12: (48, 84), 13: (65, 96), 15: (55, 86), 16: (36, 96),
    22: (60, 96), 23: (48, 88), 24: (40, 83), 26: (40, 86), 32: (28, 60), 38: (28, 64), 40: (55, 96),
    41: (48, 84), 42: (36, 76), 43: (28, 55), 44: (40, 91), 46: (30, 96), 48: (36, 91), 52: (48, 79),
    55: (48, 84), 56: (54, 82), 57: (40, 70), 58: (28, 55), 59: (54, 82), 60: (41, 77), 61: (43, 82),
    62: (36, 91), 64: (56, 86), 65: (49, 80), 66: (44, 76), 67: (37, 69), 68: (58, 88), 69: (52, 81),
    70: (34, 72), 71: (50, 89), 72: (74, 100), 73: (60, 93), 80: (40, 91), 104: (48, 77), 105: (48, 84),
    106: (50, 84), 110: (55, 93), 111: (58, 84), 112: (48, 84),
}  # fmt: skip


Span = tuple[int, int]
"""The lowest and the highest pitch."""


class Chord(NamedTuple):
    """A chord has a name over its key and pitch classes, root first."""

    name: str
    tones: tuple[int, ...]


def compass(program: int) -> Span:
    """Returns the pitches that an instrument has, by its General MIDI program."""
    return COMPASSES[max(first for first in COMPASSES if first <= program)]


def chord(name: str, key: int) -> Chord:
    """Returns the chord of a roman numeral.

    >>> chord("bVI7", key=2)
    Chord(name='bVI7', tones=(10, 2, 5, 8))

    Raises:
        ValueError: the name is none that the composer knows.
    """
    found = re.fullmatch(r"(b?)([iv]+|[IV]+)(\D*\d?)", name)
    if not found or found[2].lower() not in NUMERALS or found[3] not in ABOVE_THE_THIRD:
        raise ValueError(f"expected a chord such as bVI or ii7, got {name!r}")
    root = key + SCALES["major"][NUMERALS.index(found[2].lower())] - len(found[1])
    third = 5 if found[3] == "sus" else 4 if found[2].isupper() else 3
    return Chord(name, tuple((root + i) % 12 for i in (0, third, *ABOVE_THE_THIRD[found[3]])))


def harmony(progression: str, key: int, bar: int, bars: int) -> list[Chord]:
    """Returns the chord of each sixteenth of a section."""
    steps: list[Chord] = []
    for names in islice(cycle(progression.split()), bars):
        chords = [chord(name, key) for name in names.split(",")]
        steps += [chords[i * len(chords) // bar] for i in range(bar)]
    return steps


def following(chords: Sequence[Chord], step: int) -> Chord:
    """Returns the chord after that of a step; after the last one comes the first."""
    return next((c for c in chords[step:] if c != chords[step]), chords[0])


def nearest(classes: Sequence[int], pitch: float, span: Span) -> int:
    """Returns the pitch of some pitch classes that is nearest to a pitch, the lower of two."""
    return min((p for p in range(span[0], span[1] + 1) if p % 12 in classes), key=lambda p: abs(p - pitch))


def rungs(chord: Chord, scale: Sequence[int], span: Span) -> list[int]:
    """Returns the pitches of a scale that suit a chord.

    A tone of the chord that is foreign to the scale takes the place of its neighbours: F sharp, in D7 in C
    major, that of F.
    """
    foreign = [t for t in chord.tones if t not in scale]
    kept = [p for p in scale if all((p - t) % 12 not in (1, 11) for t in foreign)]
    return [p for p in range(span[0], span[1] + 1) if p % 12 in (*kept, *chord.tones)]


def voicings(chords: Sequence[Chord], size: int, span: Span) -> list[tuple[int, ...]]:
    """Returns a voicing for each chord in which voices move as little as they can from the one before."""
    low, high = span
    voiced: list[tuple[int, ...]] = []
    for i, current in enumerate(chords):
        if i and current == chords[i - 1]:
            voiced.append(voiced[-1])
            continue
        before = voiced[-1] if voiced else _closed(current, (low + high) // 2 - 6, size)
        options = [_closed(current, bottom, size) for bottom in range(low, high - 11)]
        voiced.append(min(options, key=lambda v: _distance(v, before, (low + high) // 2)))
    return voiced


def _closed(chord: Chord, bottom: int, size: int) -> tuple[int, ...]:
    tones = chord.tones if len(chord.tones) <= size else (*chord.tones[:2], *chord.tones[3:])  # no fifth
    return tuple(p for p in range(bottom, bottom + 24) if p % 12 in tones)[:size]


def _distance(voicing: tuple[int, ...], before: tuple[int, ...], centre: int) -> int:
    moves = sum(abs(a - b) for a, b in zip(voicing, before, strict=True))
    return 4 * moves + abs(sum(voicing) - len(voicing) * centre)
