"""Scores are the notes and controls of a MIDI file, with times in seconds, read by mido.

Files come from all over the world, so reading is tolerant: values out of range are clipped, a note that is
struck again ends, one that never ends is cut, and banks, effects and system messages are passed over.
"""

import io
import itertools
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vsep_ray.audio.formats import AudioError

if TYPE_CHECKING:
    import mido

CHANNELS = 16
PITCH = -1
"""A control of this number is the pitch wheel, from -8192 to 8191."""
IGNORED = frozenset({0, 32, 91, 93, *range(120, 128)})
"""Banks, reverberation, chorus and modes of a channel: not every font has them, or they end notes."""
ENDS_NOTES = (120, 123)
LONGEST_HANGING = 4.0
"""A note that nothing ends sounds for this number of seconds."""
DEFAULT_BEAT = 0.5
"""Seconds of a beat where a file does not say."""
DAMAGE = (OSError, EOFError, ValueError, LookupError, TypeError, ArithmeticError, AttributeError)
"""What mido raises, in the middle of its work, where bytes make no sense."""


class Note(NamedTuple):
    """A note sounds from ``start`` to ``end`` (s); ``program`` is that of its channel when it starts."""

    start: float
    end: float
    channel: int
    program: int
    key: int
    velocity: int


class Control(NamedTuple):
    """A controller of a channel, or its pitch wheel (number `PITCH`), takes a value at ``time`` (s)."""

    time: float
    channel: int
    number: int
    value: int


@dataclass(frozen=True)
class Score:
    """A score is what is played: notes by their start, controls by their time."""

    notes: tuple[Note, ...]
    controls: tuple[Control, ...] = ()

    @property
    def seconds(self) -> float:
        """The end of the last note (s)."""
        return max((note.end for note in self.notes), default=0.0)


def read(content: bytes) -> Score:
    """Returns the score of a MIDI file of type 0 or 1.

    Args:
        content: the bytes of the file.

    Raises:
        AudioError: stage ``decode``, if it is empty, damaged, no MIDI, or has no notes.
    """
    if not content:
        raise AudioError("decode", "the file is empty (0 bytes)")
    return score_of(_parsed(content))


def score_of(file: "mido.MidiFile") -> Score:
    """Returns the score of a song that mido holds.

    Raises:
        AudioError: stage ``decode``, if it has no notes.
    """
    reader = _Reader()
    for time, message in _messages(file):
        reader.take(time, message)
    score = reader.score()
    if not score.notes:
        raise AudioError("decode", "no notes")
    return score


def busiest(parts: Mapping[str, Sequence[Note]], seconds: float, dice: random.Random) -> float:
    """Returns the second at which an excerpt starts in which most parts play for most of the time.

    A part counts by the share of seconds in which it plays, up to 0.6, and once more if that is above a
    quarter. Nearly equal starts are drawn from.

    Args:
        parts: notes by source.
        seconds: length of the excerpt.
        dice: what draws.
    """
    end, width = max((n.end for notes in parts.values() for n in notes), default=0.0), int(seconds)
    if end <= seconds or not width:
        return 0.0
    playing = np.stack([_playing(notes, int(end) + 1) for notes in parts.values()])
    sums = np.pad(playing.cumsum(1), ((0, 0), (1, 0)))
    shares = (sums[:, width:] - sums[:, :-width]) / width
    worth = np.minimum(shares, 0.6).sum(0) + (shares > 0.25).sum(0)
    best = np.flatnonzero(worth >= worth.max() - 0.15)
    return float(best[int(dice.random() * len(best))])


def _playing(notes: Sequence[Note], length: int) -> np.ndarray:
    """Returns for each second whether a note sounds. Shape: -> (length,)."""
    playing = np.zeros(length)
    for note in notes:
        playing[int(note.start) : int(min(note.end, note.start + 8)) + 1] = 1  # a drone fades
    return playing


def _parsed(content: bytes) -> "mido.MidiFile":
    import mido
    from mido.midifiles.meta import KeySignatureError

    try:
        file = mido.MidiFile(file=io.BytesIO(content), clip=True)
        if file.type > 1 or file.ticks_per_beat <= 0:
            raise ValueError("its tracks are songs of their own, or its time is in frames (SMPTE)")
    except (*DAMAGE, KeySignatureError) as error:
        why = f"{type(error).__name__} {error}".strip()
        raise AudioError("decode", f"no MIDI file of type 0 or 1, or damaged: {why}") from error
    return file


def _messages(file: "mido.MidiFile") -> Iterator[tuple[float, Any]]:
    """Yields times (s) and messages of all tracks, in their order."""
    ticks = (itertools.accumulate(m.time for m in track) for track in file.tracks)
    tracks = (zip(t, track, strict=True) for t, track in zip(ticks, file.tracks, strict=True))
    merged = sorted(itertools.chain.from_iterable(tracks), key=lambda pair: pair[0])
    return _timed(merged, file.ticks_per_beat)


def _timed(messages: Iterable[tuple[int, Any]], ticks_per_beat: int) -> Iterator[tuple[float, Any]]:
    """Yields messages with seconds in the place of ticks; mido's own way copies each of them twice."""
    time, last, beat = 0.0, 0, DEFAULT_BEAT
    for tick, message in messages:
        time += (tick - last) * beat / ticks_per_beat
        last = tick
        if message.type == "set_tempo":
            beat = message.tempo / 1e6
        yield time, message


@dataclass
class _Reader:
    """What is held while a file is read.

    Attributes:
        programs: of each channel.
        held: start, program and velocity of the notes that sound, by channel and key.
        time: of the last message (s).
    """

    programs: list[int] = field(default_factory=lambda: [0] * CHANNELS)
    held: dict[tuple[int, int], tuple[float, int, int]] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    controls: list[Control] = field(default_factory=list)
    time: float = 0.0

    def take(self, time: float, message: Any) -> None:
        self.time = time
        match message.type:
            case "note_on" | "note_off":
                self._end(message.channel, message.note)
                if message.type == "note_on" and message.velocity:
                    struck = time, self.programs[message.channel], message.velocity
                    self.held[message.channel, message.note] = struck
            case "program_change":
                self.programs[message.channel] = message.program
            case "pitchwheel":
                self.controls.append(Control(time, message.channel, PITCH, message.pitch))
            case "control_change":
                self._control(message.channel, message.control, message.value)

    def score(self) -> Score:
        """Returns what was read, and ends what hangs."""
        end = self.time
        for (channel, key), (start, _, _) in list(self.held.items()):
            self.time = min(end, start + LONGEST_HANGING)
            self._end(channel, key)
        return Score(tuple(sorted(self.notes)), tuple(self.controls))

    def _control(self, channel: int, number: int, value: int) -> None:
        if number in ENDS_NOTES:
            for held, key in [place for place in self.held if place[0] == channel]:
                self._end(held, key)
        if number not in IGNORED:
            self.controls.append(Control(self.time, channel, number, value))

    def _end(self, channel: int, key: int) -> None:
        if (channel, key) in self.held:
            start, program, velocity = self.held.pop((channel, key))
            self.notes.append(Note(start, self.time, channel, program, key, velocity))
