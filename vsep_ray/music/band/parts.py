"""A band plays a section: drums, bass, chords, a melody and a voice that answers it."""

import random
from collections.abc import Sequence
from itertools import cycle, islice, pairwise
from typing import NamedTuple

from vsep_ray.music.band.notation import Mark, Note, Style, hands, marks, tiled
from vsep_ray.music.band.pitches import Chord, Span, following, nearest, rungs, voicings

Line = list[tuple[int, int, int]]
"""A bar of melody: the step, length and height (in steps of the scale) of each note."""

DRUMS = {
    "kick": 36, "stick": 37, "snare": 38, "clap": 39, "floor": 41, "hat": 42, "pedal": 44, "lowtom": 45,
    "open": 46, "midtom": 47, "crash": 49, "hightom": 50, "ride": 51, "tambourine": 54, "cowbell": 56,
    "bongo": 60, "highconga": 63, "lowconga": 64, "hightimbale": 65, "cabasa": 69,
    "maracas": 70, "claves": 75,
}  # fmt: skip
FILLS = ("snare", "snare floor", "hightom midtom lowtom floor", "snare hightom snare floor", "snare kick")
MOVES = (-3, -2, -1, -1, -1, 0, 1, 1, 1, 2, 3, 4)


class Ground(NamedTuple):
    """A ground is what all who play in a section share: the style, each sixteenth's chord, and the scale."""

    style: Style
    chords: Sequence[Chord]
    scale: Sequence[int]

    @property
    def bars(self) -> int:
        """Bars in the section."""
        return len(self.chords) // self.style.bar


def drums(style: Style, groove: str, bars: int, rng: random.Random) -> list[Note]:
    """Returns a groove with a fill at its end, perhaps one half way, and mostly a crash at its start."""
    length, words = bars * style.bar, groove.split()
    strokes = [
        Note(mark.step, mark.length, DRUMS[name], _loudness(mark, style))
        for name, pattern in zip(words[::2], words[1::2], strict=True)
        for mark in marks(tiled(pattern, 0, length))
        if mark.letter != "o" or rng.random() < 0.8
    ]
    for end, chance in ((bars // 2 * style.bar, 0.4), (length, 0.9)):
        if rng.random() < chance:
            strokes = _filled(strokes, end, rng.choice((1, 2)) * style.beat, style, rng)
    return [Note(0, 4, DRUMS["crash"], 104)] * (rng.random() < 0.7) + strokes


def _filled(strokes: list[Note], end: int, length: int, style: Style, rng: random.Random) -> list[Note]:
    start, grid, names = end - length, 2 if style.tempo[1] > 150 else 1, rng.choice(FILLS).split()
    kept = [s for s in strokes if not start <= s.start < end or s.pitch == DRUMS["kick"]]
    return kept + [
        Note(start + i, 1, DRUMS[names[i * len(names) // length]], 74 + 34 * i // length)
        for i in range(0, length, grid)
        if i % (2 * grid) == 0 or rng.random() < 0.6
    ]


def bass(ground: Ground, span: Span, rng: random.Random) -> list[Note]:
    """Returns a bass line: roots near one another, and what leads from one to the next."""
    notes: list[Note] = []
    pitch = span[0] + 8
    for mark in marks(hands(ground.style.bass.patterns, ground.style.bar, ground.bars, rng)[0]):
        pitch = _bass_pitch(mark, pitch, ground, span, rng)
        notes.append(Note(mark.step, mark.length, pitch, _loudness(mark, ground.style)))
    return notes


def _bass_pitch(mark: Mark, before: int, ground: Ground, span: Span, rng: random.Random) -> int:
    low, high = span
    here, then = ground.chords[mark.step], following(ground.chords, mark.step)
    root = nearest(here.tones[:1], (before + low + 8) / 2, span)
    target = nearest(then.tones[:1], before, span)
    if mark.letter in "na":
        return max(low, min(high, target + (rng.choice((-2, -1, 1)) if mark.letter == "a" else 0)))
    if mark.letter == "w":
        way = 1 if target > before else -1
        return rng.choice(
            [p for p in rungs(here, ground.scale, span) if 0 < (p - before) * way <= 4] or [root]
        )
    third, fifth, *more = ((tone - here.tones[0]) % 12 for tone in here.tones[1:])
    above = {"1": 0, "3": third, "5": fifth, "6": 9 if third == 4 else 10, "7": [*more, 12][0], "8": 12}[
        mark.letter
    ]
    return root + above if root + above <= high else root + above - 12


def comping(
    ground: Ground, patterns: Sequence[str], span: Span, lowest: int, rng: random.Random
) -> list[Note]:
    """Returns chords, arpeggios, strums or a riff: what a guitar, keys or a pad play behind a melody.

    Args:
        ground: the style, the chords and the scale.
        patterns: those to choose from.
        span: the lowest and the highest pitch of voicings.
        lowest: the lowest pitch of roots that lie below voicings.
        rng: makes the choices.
    """
    voiced = voicings(ground.chords, rng.choice((3, 4)), span)
    riff = [abs(height) for height in contour(ground.style.bar, rng)]
    notes: list[Note] = []
    for text in hands(patterns, ground.style.bar, ground.bars, rng):
        for mark in marks(text):
            chord = ground.chords[mark.step]
            ladder = rungs(chord, ground.scale, (lowest + (chord.tones[0] - lowest) % 12, 127))
            pitches = _chordal(
                mark.letter.lower(), ladder, voiced[mark.step], riff[mark.step % ground.style.bar]
            )
            notes += _struck(mark, pitches, ground.style)
    return notes


def _chordal(letter: str, ladder: Sequence[int], voicing: tuple[int, ...], riff: int) -> tuple[int, ...]:
    match letter:
        case "x" | "o":
            return voicing
        case "d":
            return (ladder[0], *voicing)
        case "u":
            return voicing[:0:-1]
        case "r":
            return (ladder[riff],)
        case _ if letter.isdigit():
            octave, place = divmod(int(letter), len(voicing))
            return (voicing[place] + 12 * octave,)
    above = {"b": (0,), "m": (0,), "f": (7,), "p": (0, 7, 12), "g": (0, 7), "h": (0, 9)}[letter]
    return tuple(ladder[0] + i for i in above)


def _struck(mark: Mark, pitches: tuple[int, ...], style: Style) -> list[Note]:
    apart = 0.1 if mark.letter in "dDuU" else 0.0
    length = 0.5 if mark.letter in "om" else mark.length
    loudness = _loudness(mark, style)
    return [Note(mark.step + apart * i, length - apart * i, p, loudness) for i, p in enumerate(pitches)]


def _loudness(mark: Mark, style: Style) -> int:
    if mark.letter == "o":
        return 48
    return (104 if mark.letter.isupper() else 88) - (0 if mark.step % style.beat == 0 else 8)


def contour(count: int, rng: random.Random) -> list[int]:
    """Returns heights of a tune in steps of its scale: mostly small moves, and a step back after a leap."""
    heights, move = [0], 0
    while len(heights) < count:
        move = (-1 if move > 0 else 1) if abs(move) > 2 else rng.choice(MOVES)
        heights.append(max(-4, min(5, heights[-1] + move)))
    return heights


def motif(cells: Sequence[str], bar: int, rng: random.Random) -> Line:
    """Returns a bar of melody whose rhythm is put together of two cells."""
    pair = rng.sample(cells, 2)
    text = "".join(rng.choice(pair) for _ in range(bar))[:bar]
    hits = marks(text) or [Mark(0, bar // 2, "x")]
    return [(m.step, m.length, height) for m, height in zip(hits, contour(len(hits), rng), strict=True)]


def melody(ground: Ground, cells: Sequence[str], span: Span, rng: random.Random) -> list[Note]:
    """Returns a melody in phrases of four bars: a motif, its sequence, something else, and a close."""
    bar = ground.style.bar
    first, second = motif(cells, bar, rng), motif(cells, bar, rng)
    shift = rng.choice((-2, -1, 1, 2))
    sequence = [(step, length, height + shift) for step, length, height in first]
    inversion = [(step, length, -height) for step, length, height in first]
    question = [first, sequence, second, _closed(first, bar)]
    answer = [first, sequence, inversion, _closed(second, bar)]
    lines = islice(cycle(question + answer), ground.bars)
    return [note for i, line in enumerate(lines) for note in _sung(line, i * bar, ground, span)]


def _closed(line: Line, bar: int) -> Line:
    """Returns the beginning of a bar of melody whose last note is held."""
    kept = [note for note in line if note[0] < bar // 2] or [(0, 0, 0)]
    return [*kept[:-1], (kept[-1][0], bar - kept[-1][0] - 3, 0)]


def _sung(line: Line, start: int, ground: Ground, span: Span) -> list[Note]:
    home = nearest(ground.chords[start].tones, sum(span) / 2, span)
    beat = ground.style.beat
    notes = []
    for step, length, height in line:
        chord = ground.chords[start + step]
        ladder = rungs(chord, ground.scale, span)
        at = min(range(len(ladder)), key=lambda i: abs(ladder[i] - home)) + height
        pitch = ladder[max(0, min(len(ladder) - 1, at))]
        strong = step % (2 * beat) == 0
        if strong or length >= beat:  # what is heard as harmony belongs to the chord
            pitch = nearest(chord.tones, pitch, span)
        notes.append(Note(start + step, length, pitch, 86 + 2 * height + 6 * strong))
    return notes


def counter(ground: Ground, tune: Sequence[Note], span: Span, rng: random.Random) -> list[Note]:
    """Returns long notes against a melody: down where it rises, up where it falls, and never its own tone."""
    length = rng.choice((1, 1, 2)) * 2 * ground.style.beat
    points = [*range(0, len(ground.chords), length), len(ground.chords)]
    pitch, before = sum(span) // 2, 0
    notes: list[Note] = []
    for start, end in pairwise(points):
        now = next((n.pitch for n in reversed(tune) if n.start <= start), 0)
        way = -1 if now > before else 1
        free = [tone for tone in ground.chords[start].tones if tone != now % 12]
        moves = [p for p in range(span[0], span[1] + 1) if p % 12 in free and 0 <= (p - pitch) * way <= 7]
        pitch = min(moves, key=lambda p: abs(p - pitch)) if moves else nearest(free, sum(span) / 2, span)
        before = now
        notes.append(Note(start, end - start, pitch, 78))
    return [n for n in notes if n.start // ground.style.bar % 4 != 3 or rng.random() < 0.5]
