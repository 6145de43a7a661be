"""A voice sings another melody: each of its notes moves to one of a composed melody, and keeps what the
singer does about it: vibrato, scoops and slides.
"""

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from vsep_ray.music.band.composer import write
from vsep_ray.music.band.performance import TICKS
from vsep_ray.music.vocoder import PER_SECOND, Frames, Voice

SONG_SECONDS = 60.0
"""Length of the song whose melody is taken; a longer voice begins it anew."""
FEWEST = 8
"""A song whose lead has fewer notes gives way to the next."""
SHORTEST, LONGEST = 0.15, 1.2
"""Seconds of a note of a melody; what the song has beside them is not sung."""
MEDIAN, GLIDE = 41, 13
"""Frames: over 0.2 s, a vibrato's period, its median is a note's; notes go over to each other in 0.06 s."""
APART = 0.7
"""Semitones from a note at which another one begins."""
REACH = 6.0
"""Semitones about the middle of a voice that a melody may always use."""


class Note(NamedTuple):
    """A singer's note goes from one frame to another, and has a key (MIDI, with fractions)."""

    start: int
    end: int
    key: float


class Tone(NamedTuple):
    """A tone of a melody has a key (MIDI) and lasts some seconds."""

    key: int
    seconds: float


def keys_of(voice: Voice) -> Frames:
    """Returns the pitch of each frame as a MIDI key with fractions, 0 where there is no voice."""
    return np.where(voice.voiced, 69 + 12 * np.log2(np.maximum(voice.pitch, 1) / 440), 0.0)


def notes_of(voice: Voice) -> list[Note]:
    """Returns the notes that a voice sings: where the median of its pitch stays within `APART` semitones.

    A slide to a note belongs to it.
    """
    keys, notes = keys_of(voice), []
    edges = np.flatnonzero(np.diff(voice.voiced, prepend=False, append=False))
    for start, end in edges.reshape(-1, 2):
        starts = [*_starts(_smooth(keys[start:end])), end - start]
        notes += [Note(start + a, start + b, float(np.median(keys[start + a : start + b])))
                  for a, b in itertools.pairwise(starts)]  # fmt: skip
    return notes


def compose(seed: int) -> list[Tone]:
    """Returns the melody of the band song of a seed, or of the next one that has a melody."""
    return next(line for line in map(_line, itertools.count(seed)) if len(line) >= FEWEST)


def along(voice: Voice, melody: Sequence[Tone], dice: random.Random) -> Frames:
    """Returns by how many semitones each frame of a voice moves, so that it sings a melody in its own range.

    Every note of the singer gets the next tone, and one that is held for long gets several.

    Args:
        voice: with N frames.
        melody: tones to be sung in their order, from a place that is drawn.
        dice: of the place.

    Returns:
        (N,).
    """
    notes = notes_of(voice)
    if not notes:
        return np.zeros(len(voice.pitch))
    first = dice.randrange(len(melody))
    tones = itertools.islice(itertools.cycle(_in_range(melody, notes)), first, None)
    steps = [(start, tone.key - key) for start, key, tone in _aligned(notes, tones)]
    starts, shifts = map(np.array, zip(*steps, strict=True))
    held = shifts[np.maximum(np.searchsorted(starts, np.arange(len(voice.pitch)), "right") - 1, 0)]
    window = np.hanning(GLIDE + 2)[1:-1]
    padded = np.pad(held, GLIDE // 2, mode="edge")
    return np.convolve(padded, window / window.sum(), "valid")


def _line(seed: int) -> list[Tone]:
    song = write(seed, SONG_SECONDS)
    played = max((song.played.get(role, []) for role in ("lead", "counter")), key=len)
    tick = 60 / song.tempi[0] / 4 / TICKS
    return [
        Tone(a.pitch, min(max((b.start - a.start) * tick, SHORTEST), LONGEST))
        for a, b in itertools.pairwise(played)
    ]


def _in_range(melody: Sequence[Tone], notes: Sequence[Note]) -> list[Tone]:
    """Returns a melody about the middle of what is sung; tones out of its range move by octaves into it."""
    sung = np.repeat([note.key for note in notes], [note.end - note.start for note in notes])
    low, middle, high = np.percentile(sung, (5, 50, 95))
    reach = max(REACH, (high - low) / 2)
    up = round(middle - np.median([tone.key for tone in melody]))
    return [tone._replace(key=_folded(tone.key + up, middle, reach)) for tone in melody]


def _folded(key: int, middle: float, reach: float) -> int:
    return key - 12 * round((key - middle) / 12) if abs(key - middle) > reach else key


def _aligned(notes: Sequence[Note], tones: Iterator[Tone]) -> Iterator[tuple[int, float, Tone]]:
    """Yields where a tone begins (frame), the singer's key there, and the tone."""
    for note in notes:
        start = note.start
        while start < note.end:
            tone = next(tones)
            yield start, note.key, tone
            frames = round(tone.seconds * PER_SECOND)
            # what remains of a note is not worth a tone of its own
            start = start + frames if note.end - start > 1.5 * frames else note.end


def _smooth(keys: Frames) -> Frames:
    padded = np.pad(keys, MEDIAN // 2, mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, MEDIAN), axis=1)


def _starts(keys: Frames) -> list[int]:
    """Returns where notes begin in a stretch of voice; short ones are slides to the next."""
    starts, centre = [0], keys[0]
    for i, key in enumerate(keys):
        if abs(key - centre) > APART:
            starts.append(i)
            centre = key
        centre += 0.05 * (key - centre)
    least = round(SHORTEST * PER_SECOND)
    kept = [0]
    for start in starts:
        kept += [start] if start - kept[-1] >= least else []
    return kept[:-1] if len(kept) > 1 and len(keys) - kept[-1] < least else kept
