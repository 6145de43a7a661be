"""Patterns have a letter for each sixteenth note; a style gives each instrument some to choose from.

A pattern of any length is repeated to the end of its section: ``.`` rests, ``-`` holds, ``/`` divides two
hands, capital letters are accents. What other letters mean:

====== =================================================================================================
drums  ``x`` a stroke, ``o`` a ghost note; the name of each instrument stands before its pattern
bass   ``1 3 5 6 7 8`` tones of the chord, ``n`` the next chord's root, ``a`` an approach to it, ``w`` a walk
chords ``x`` a chord, ``o`` a damped one, ``d u`` one strummed down or up, ``0`` to ``5`` its notes from
       below, ``b f`` root and fifth an octave lower, ``m`` a muted root, ``p`` a power chord, ``g h`` root
       with fifth or sixth, ``r`` a note of the section's riff
lead   ``x`` a note: the rhythm of a melody is put together of such cells
====== =================================================================================================
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Part:
    """A part has instruments to choose from, General MIDI programs counted from 0, and patterns to play."""

    programs: tuple[int, ...]
    patterns: tuple[str, ...]


PICKED = Part((24, 25, 26, 27), ("0-1-2-3-2-1-2-3-", "0-2-1-3-", "0---2-3-1---3-2-"))


@dataclass(frozen=True)
class Style:
    """A style is what songs of one kind have in common."""

    name: str
    tempo: tuple[int, int]
    """Slowest and fastest, in quarter notes a minute."""
    metre: tuple[int, int]
    progressions: tuple[str, ...]
    """Roman numerals of the major scale, a bar each, or half a bar with a comma between."""
    drums: Part
    bass: Part
    guitar: Part
    keys: Part
    pad: Part
    lead: Part
    counter: tuple[int, ...]
    """Programs of the voice that answers the lead, and that plays the solos."""
    second: Part = PICKED
    """A second guitar."""
    swing: float = 0.5
    """Where the middle of what swings falls: 0.5 is straight, 0.67 a triplet."""
    swung: int = 4
    """Sixteenths in what swings: 4 are swung eighth notes, 2 are swung sixteenths."""
    modes: tuple[str, str] = ("major", "minor")
    """Scales of melodies where the tonic is major, and where it is minor."""
    forms: tuple[str, ...] = ("IVCVCBCC", "VCVCSC", "IVVCVCBC", "IVCSCBC", "VCBCVC", "CVCVSC")
    """Sections by their letters: intro, verse, chorus, bridge, solo; each song is cut to its length."""
    drift: float = 0.006
    """Largest change of the tempo from bar to bar, as a share; 0 is a machine's."""

    @property
    def bar(self) -> int:
        """Sixteenths in a bar."""
        return self.metre[0] * 16 // self.metre[1]

    @property
    def beat(self) -> int:
        """Sixteenths in a beat: a quarter note, or a dotted one in compound metres."""
        return 6 if self.metre[1] == 8 and self.metre[0] % 3 == 0 else 4


class Note(NamedTuple):
    """A note as it is written, in sixteenths from the start of its section."""

    start: float
    length: float
    pitch: int
    velocity: int


class Mark(NamedTuple):
    """A mark is a letter of a pattern, with where it stands and how long it is held."""

    step: int
    length: int
    letter: str


def marks(text: str) -> list[Mark]:
    """Returns the letters of a pattern.

    >>> marks("x-.d")
    [Mark(step=0, length=2, letter='x'), Mark(step=3, length=1, letter='d')]
    """
    return [Mark(m.start(), len(m[0]), m[0][0]) for m in re.finditer(r"[^.\-]-*", text)]


def tiled(pattern: str, start: int, length: int) -> str:
    """Returns ``length`` letters of the endless repetition of a pattern, from letter ``start`` on."""
    repeated = pattern * ((start + length) // len(pattern) + 1)
    return repeated[start : start + length]


def hands(patterns: Sequence[str], bar: int, bars: int, rng: random.Random) -> list[str]:
    """Returns what each hand plays in a section: a pattern, and perhaps another in every fourth bar."""
    usual, other = (rng.choice(patterns).split("/") for _ in range(2))
    turns = rng.random() < 0.5
    played = [other if turns and i % 4 == 3 else usual for i in range(bars)]
    return [
        "".join(tiled(p[hand % len(p)], i * bar, bar) for i, p in enumerate(played))
        for hand in range(len(usual))
    ]
