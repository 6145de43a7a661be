"""A seed becomes a song for a band: its harmony, and who plays what and when.

Unlimited, exact and offline, they are to music what the toy waves are to waves. A song has a style, a key, a
tempo, sections that come back, instruments that enter and rest, and an end. Left out of music are:

* voices and words;
* modulation, chords that are in no given progression, and counterpoint of more than two voices;
* melodies that develop beyond phrases of four bars, improvisation, drum solos;
* rubato, ritardando, changes of metre, and breaks in which all stop;
* bends, vibrato, slides, pedals, breath and bowing;
* players that listen to one another, but for the voice that answers the lead.
"""

import random
import re
from dataclasses import replace
from itertools import chain, cycle
from typing import TYPE_CHECKING

from vsep_ray.music.band import parts
from vsep_ray.music.band.notation import Style
from vsep_ray.music.band.performance import CHAIRS, CHORDAL, Material, Section, Song, performed, to_midi
from vsep_ray.music.band.pitches import Span, compass, harmony
from vsep_ray.music.band.styles import STYLES

if TYPE_CHECKING:
    import mido

VERSION = 1
"""It counts up when a seed becomes another song than before."""
DENSITY = {"I": 0.75, "V": 0.95, "C": 1.08, "B": 0.75, "S": 0.95, "O": 0.9}


def compose(seed: int, seconds: float = 90.0) -> "mido.MidiFile":
    """Returns the song of a seed as MIDI, the same on any machine; its length is right to half a bar.

    Args:
        seed: 0 or more; consecutive ones have as many songs of each style as of any other, give or take two.
        seconds: how long the song lasts; it has two bars at least.
    """
    return to_midi(write(seed, seconds))


def write(seed: int, seconds: float) -> Song:
    """Returns the song of a seed before it becomes MIDI."""
    rng = random.Random(8 * seed)
    style = style_of(seed)
    key, tempi, progressions = rng.randrange(12), _tempi(style, seconds, rng), _progressions(style, rng)
    band = _band(style, rng)
    bare = Song(style, key, is_minor(progressions["V"]), tempi, [], band, _places(band, rng), {})
    materials = {
        letter: _material(bare, letter, progressions[letter], random.Random(8 * seed + i))
        for i, letter in enumerate("VCBS", start=1)
    }
    sections = _sections(bare, materials, rng)
    played = {role: performed(bare, role, sections, rng) for role in band}
    return replace(bare, sections=sections, played=played)


def style_of(seed: int) -> Style:
    """Returns the style of a song: consecutive seeds go through all styles, each time in another order."""
    block, place = divmod(seed, len(STYLES))
    return random.Random(block).sample(STYLES, len(STYLES))[place]


def is_minor(progression: str) -> bool:
    """Returns whether a progression has a minor tonic."""
    return any(name[0] == "i" and name[1:2] not in ("i", "v") for name in re.split("[ ,]", progression))


def window(program: int, centre: int) -> Span:
    """Returns the part of an instrument's compass that lies about a pitch, a dozen and a half semitones."""
    low, high = compass(program)
    middle = max(low + 9, min(high - 9, centre))
    return max(low, middle - 9), min(high, middle + 9)


def _tempi(style: Style, seconds: float, rng: random.Random) -> list[float]:
    steady = tempo = float(rng.randint(*style.tempo))
    beats, left = style.bar / 4, seconds
    tempi: list[float] = []
    while left > 30 * beats / steady or len(tempi) < 2:
        tempo += 0.3 * (steady - tempo) + steady * rng.uniform(-style.drift, style.drift)
        tempi.append(tempo)
        left -= 60 * beats / tempo
    return tempi


def _progressions(style: Style, rng: random.Random) -> dict[str, str]:
    minor = is_minor(rng.choice(style.progressions))
    same = [p for p in style.progressions if is_minor(p) == minor]
    picks = dict(zip("VCB", cycle(rng.sample(same, len(same))), strict=False))
    return {**picks, "S": picks["V"]}


def _band(style: Style, rng: random.Random) -> dict[str, int]:
    """Returns the programs of the roles that this song has."""
    lead = rng.choice(style.lead.programs)
    counter = rng.choice([program for program in style.counter if program != lead])
    chosen = {
        role: rng.choice(getattr(style, role).programs) for role in CHAIRS if role not in ("lead", "counter")
    }
    band = {**chosen, "lead": lead, "counter": counter}
    return {role: program for role, program in band.items() if rng.random() < CHAIRS[role].in_songs}


def _places(band: dict[str, int], rng: random.Random) -> dict[str, tuple[int, int]]:
    side = rng.choice((-1, 1))
    return {
        role: (CHAIRS[role].volume + rng.randint(-10, 10), 64 + side * CHAIRS[role].pan + rng.randint(-8, 8))
        for role in band
    }


def _material(song: Song, letter: str, progression: str, rng: random.Random) -> Material:
    style, programs, length = song.style, song.programs, len(progression.split())
    chords = harmony(progression, song.key, style.bar, length if length > 4 else 8)
    ground = parts.Ground(style, chords, song.scale)
    lines = {"bass": parts.bass(ground, compass(programs["bass"]), rng)}
    for role in [role for role in CHORDAL if role in programs]:
        patterns, lowest = getattr(style, role).patterns, max(36, compass(programs[role])[0])
        lines[role] = parts.comping(ground, patterns, window(programs[role], CHORDAL[role]), lowest, rng)
    soloist = _soloist(song) if letter == "S" else "lead"
    cells = sorted(style.lead.patterns, key=lambda cell: cell.count("x") / len(cell))
    span = window(programs[soloist], 74 if letter == "C" else 70)
    lines[soloist] = parts.melody(ground, cells[-3:] if letter == "S" else cells, span, rng)
    if soloist == "lead" and "counter" in programs:
        lines["counter"] = parts.counter(ground, lines["lead"], window(programs["counter"], 62), rng)
    return Material(chords, rng.choice(style.drums.patterns), lines)


def _soloist(song: Song) -> str:
    return "counter" if "counter" in song.programs else "lead"


def _sections(song: Song, materials: dict[str, Material], rng: random.Random) -> list[Section]:
    """Returns a form, cut or continued to all bars but the last, mostly with an outro."""
    lengths = {letter: len(m.chords) // song.style.bar for letter, m in materials.items()} | {"I": 4, "O": 4}
    end = len(song.tempi) - 1
    body = end - 4 if end > 16 and rng.random() < 0.6 else end
    sections: list[Section] = []
    start = 0
    for planned in chain(rng.choice(song.style.forms), cycle("VC")):
        letter, limit = (planned, body) if start < body else ("O", end)
        bars = min(lengths[letter], limit - start)
        if not bars:
            break
        players = _players(song, letter, bars, rng)
        if bars < 3 and sections:  # what is too short for a section of its own goes on as the one before
            letter, players = sections[-1].letter, sections[-1].players
        sections.append(Section(letter, start, bars, _drummed(song, materials, letter, bars, rng), players))
        start += bars
    return sections


def _drummed(
    song: Song, materials: dict[str, Material], letter: str, bars: int, rng: random.Random
) -> Material:
    """Returns what is played in a section: fills are new each time, and at the end where it is cut, too."""
    material = materials.get(letter, materials["V"])
    drums = parts.drums(song.style, material.groove, bars, rng)
    return material._replace(lines={**material.lines, "drums": drums})


def _players(song: Song, letter: str, bars: int, rng: random.Random) -> dict[str, int]:
    chances = {role: CHAIRS[role].in_sections * DENSITY[letter] for role in song.programs}
    if letter in "IS":
        chances["lead"] = 0.2 * (letter == "I")
    if letter == "S":
        chances[_soloist(song)] = 1.0
    players = [role for role, chance in chances.items() if rng.random() < chance]
    if not CHORDAL.keys() & set(players):
        players.append("guitar")
    late = 0.4 if letter == "I" else 0.12
    return {role: bars // 2 if rng.random() < late else 0 for role in players}
