"""Tables say which instruments of General MIDI make a source, and which can stand for each other.

A table is a list of ``SOURCE=PROGRAMS`` pairs. Programs count from 0 to 127, as in the files; books count
from 1 to 128. ``kit`` is the percussion channel, ``*`` all that no other pair names, and the source ``-`` is
left out. An instrument belongs to the first pair that names it.
"""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

from vsep_ray.config import UserError

KIT_CHANNEL = 9
"""Percussion has this channel, which books call channel 10; its programs are kits, not instruments."""
KITS = (0, 8, 16, 24, 25, 32, 40)
"""Kits that play pop and jazz: standard, room, power, electronic, TR-808, jazz, brush."""
PROGRAMS = 128
KIT, REST, LEFT_OUT = "kit", "*", "-"

_VOICES = "-=52-54,85,91"
TABLES = MappingProxyType({
    "slakh": ("bass=32-39", "drums=kit", "guitar=24-31", "piano=0-7", "other=*"),
    "four": (_VOICES, "bass=32-39", "drums=kit", "other=*"),
    "six": (_VOICES, "bass=32-39", "drums=kit", "guitar=24-31", "piano=0-7", "other=*"),
})  # fmt: skip
"""Slakh2100's classes, joined to five; the four and six stems of MUSDB18 and Demucs without ``vocals``: no
font sings words, and its choirs and voices would teach that ``other`` does."""

_ALIKE = (
    range(6), range(8, 15), range(16, 21), range(21, 24), range(24, 31), range(32, 40), range(40, 44),
    range(48, 52), range(52, 55), range(56, 64), range(64, 72), range(72, 80), range(80, 88), range(88, 96),
)  # fmt: skip
"""Programs of one range can stand for each other. Harpsichord and clavinet, timpani, harp, the orchestra hit
and sound effects stand for nothing else."""


@dataclass(frozen=True)
class Families:
    """A table of instruments, ready to look up.

    Attributes:
        sources: the names of all sources, in the order of the table.
        instruments: the source of each of the 128 programs, ``""`` where it is left out.
        kit: the source of the percussion channel, or ``""``.
    """

    sources: tuple[str, ...]
    instruments: tuple[str, ...]
    kit: str

    def source_of(self, channel: int, program: int) -> str:
        """Returns the source of a note, or ``""`` where it is left out."""
        return self.kit if channel == KIT_CHANNEL else self.instruments[program]

    def alike(self, channel: int, program: int) -> tuple[int, ...]:
        """Returns the programs of the same source that can stand for one, itself among them."""
        if channel == KIT_CHANNEL:
            return KITS if program in KITS else (program,)
        near = next((group for group in _ALIKE if program in group), (program,))
        return tuple(p for p in near if self.instruments[p] == self.instruments[program])


@functools.cache
def families(names: tuple[str, ...]) -> Families:
    """Returns the table of a name of `TABLES`, or of ``SOURCE=PROGRAMS`` pairs.

    Example:
        >>> table = families(("strings=40-44,48-51", "drums=kit"))
        >>> table.source_of(0, 41), table.source_of(KIT_CHANNEL, 0), table.source_of(0, 7)
        ('strings', 'drums', '')

    Raises:
        UserError: an unknown name, a pair that cannot be read, or a table without a source.
    """
    pairs = TABLES[names[0]] if len(names) == 1 and names[0] in TABLES else names
    owners: dict[int | str, str] = {}
    rest = ""
    for source, programs in map(_pair, pairs):
        if programs == REST:
            rest = rest or source
        for program in _programs(programs):
            owners.setdefault(program, source)
    found = tuple(owners.get(p, rest).replace(LEFT_OUT, "") for p in (*range(PROGRAMS), KIT))
    sources = tuple(dict.fromkeys(s for s, _ in map(_pair, pairs) if s in found))
    if not sources:
        raise UserError(f"--families {' '.join(names)!r} leaves every instrument out; {_expected()}")
    return Families(sources, found[:-1], found[-1])


def _pair(text: str) -> tuple[str, str]:
    source, _, programs = text.partition("=")
    if not source or not re.fullmatch(r"\*|(kit|\d+(-\d+)?)(,(kit|\d+(-\d+)?))*", programs):
        raise UserError(f"--families {text!r}: {_expected()}")
    return source, programs


def _programs(text: str) -> Sequence[int | str]:
    if text == REST:
        return ()
    found: list[int | str] = []
    for part in text.split(","):
        low, _, high = part.partition("-")
        found += [KIT] if part == KIT else range(int(low), int(high or low) + 1)
    if wrong := [p for p in found if p != KIT and int(p) >= PROGRAMS]:
        raise UserError(f"--families {text!r}: programs count from 0 to {PROGRAMS - 1}, got {wrong[0]}")
    return found


def _expected() -> str:
    example = "strings=40-44,48-51 drums=kit other='*'"
    return f"expected {', '.join(TABLES)}, or pairs SOURCE=PROGRAMS such as {example}"
