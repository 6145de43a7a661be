"""A song is performed: swung, humanly late and loud, with an end, and written as MIDI."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from vsep_ray.music.band.notation import Note, Style
from vsep_ray.music.band.parts import DRUMS
from vsep_ray.music.band.pitches import SCALES, Chord, chord, compass, nearest

if TYPE_CHECKING:
    import mido

TICKS = 120
"""Ticks in a sixteenth note."""
KEYS = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
MINOR_KEYS = ("Cm", "C#m", "Dm", "Ebm", "Em", "Fm", "F#m", "Gm", "G#m", "Am", "Bbm", "Bm")


class Chair(NamedTuple):
    """A chair of the band: where it sits, how it plays, and in what share of songs and sections."""

    channel: int
    volume: int
    pan: int
    """Steps beside the middle; which side is right is drawn for each song."""
    late: int
    """Ticks behind the beat."""
    loose: int
    """Ticks around it, at most."""
    in_songs: float
    in_sections: float


CHAIRS = {
    "drums": Chair(9, 100, 0, 0, 8, 1.0, 0.93),
    "bass": Chair(0, 100, 0, 4, 10, 1.0, 0.93),
    "guitar": Chair(1, 88, -30, 2, 12, 1.0, 0.85),
    "second": Chair(2, 84, 30, 2, 14, 0.45, 0.7),
    "keys": Chair(3, 92, 14, 0, 12, 0.93, 0.8),
    "pad": Chair(4, 76, -8, 0, 16, 0.75, 0.65),
    "lead": Chair(5, 100, 0, 4, 16, 1.0, 0.8),
    "counter": Chair(6, 88, -18, 4, 16, 0.7, 0.5),
}
CHORDAL = {"guitar": 60, "keys": 64, "second": 65, "pad": 67}
"""Roles that play chords, and the pitch about which they do."""
LOUDNESS = {"I": 0.78, "V": 0.88, "C": 1.0, "B": 0.84, "S": 0.95, "O": 0.86}


class Played(NamedTuple):
    """A note as it is played, in ticks from the start of its song."""

    start: int
    end: int
    pitch: int
    velocity: int


class Material(NamedTuple):
    """A material comes back with its letter of the form: chords by sixteenths, a groove, all notes."""

    chords: list[Chord]
    groove: str
    lines: dict[str, list[Note]]


class Section(NamedTuple):
    """A section is some bars of a song, and who plays in it from which of its bars on."""

    letter: str
    start: int
    bars: int
    material: Material
    players: dict[str, int]


@dataclass(frozen=True)
class Song:
    """A song has a tempo for each bar, sections, and for each role a program and what it plays."""

    style: Style
    key: int
    minor: bool
    tempi: Sequence[float]
    sections: Sequence[Section]
    programs: dict[str, int]
    places: dict[str, tuple[int, int]]
    """Volume and pan of each role, from 0 to 127."""
    played: dict[str, list[Played]]

    @property
    def scale(self) -> tuple[int, ...]:
        """Pitch classes of the melodies' scale, tonic first."""
        return tuple((self.key + i) % 12 for i in SCALES[self.style.modes[self.minor]])


def performed(song: Song, role: str, sections: Sequence[Section], rng: random.Random) -> list[Played]:
    """Returns what a role plays in the whole song, as people play it, and at its end."""
    notes: list[Played] = []
    for section in sections:
        if role in section.players:
            first, last = (bar * song.style.bar for bar in (section.players[role], section.bars))
            for note in section.material.lines[role]:
                if first <= note.start < last:
                    cut = note._replace(length=min(note.length, last - note.start))
                    notes.append(_played(cut, song, role, section, rng))
    return _apart(notes + _final(song, role, sections[-1], rng))


def _played(note: Note, song: Song, role: str, section: Section, rng: random.Random) -> Played:
    style, chair = song.style, CHAIRS[role]
    start, end = (
        TICKS * (section.start * style.bar + _swung(step, style))
        for step in (note.start, note.start + note.length)
    )
    shift = chair.late + rng.triangular(-chair.loose, chair.loose)
    begin = max(0, round(start + shift))
    length = max(TICKS // 4, round((end - start) * rng.uniform(0.86, 0.98)))
    loudness = round(note.velocity * LOUDNESS[section.letter] * rng.uniform(0.93, 1.07))
    pitch = (
        note.pitch
        if role == "drums"
        else nearest([note.pitch % 12], note.pitch, compass(song.programs[role]))
    )
    return Played(begin, begin + length, pitch, max(1, min(127, loudness)))


def _swung(step: float, style: Style) -> float:
    whole, part = divmod(step / style.swung, 1)
    late = 2 * style.swing * part if part < 0.5 else style.swing + 2 * (1 - style.swing) * (part - 0.5)
    return style.swung * (whole + late)


def _final(song: Song, role: str, last: Section, rng: random.Random) -> list[Played]:
    """Returns the last bar: all who play in the last section strike the tonic chord and hold it."""
    if role not in last.players:
        return []
    bar, tonic = song.style.bar, chord("i" if song.minor else "I", song.key)
    span = compass(song.programs[role])
    pitches = {
        "drums": [DRUMS["kick"], DRUMS["crash"]],
        "bass": [nearest(tonic.tones[:1], span[0] + 8, span)],
        "lead": [nearest(tonic.tones[:1], 72, span)],
        "counter": [nearest(tonic.tones[1:2], 64, span)],
    }.get(role) or [nearest([tone], CHORDAL[role], span) for tone in tonic.tones]
    coda = last._replace(start=len(song.tempi) - 1, bars=1)
    return [_played(Note(0, bar, pitch, 96), song, role, coda, rng) for pitch in pitches]


def _apart(notes: Sequence[Played]) -> list[Played]:
    """Returns notes in order, each cut where its own pitch is struck again."""
    kept: list[Played] = []
    latest: dict[int, int] = {}
    for note in sorted(notes):
        place = latest.get(note.pitch)
        if place is not None and kept[place].end > note.start:
            if note.start - kept[place].start < TICKS // 4:
                continue  # two hands meet on one key
            kept[place] = kept[place]._replace(end=note.start)
        latest[note.pitch] = len(kept)
        kept.append(note)
    return kept


def to_midi(song: Song) -> "mido.MidiFile":
    """Returns a song as MIDI: a track of tempi, names of sections and chords, then a track for each role."""
    import mido

    midi = mido.MidiFile(ticks_per_beat=4 * TICKS)
    end = len(song.tempi) * song.style.bar * TICKS
    for messages in (_conducted(song), *(_sounded(song, role) for role in song.programs)):
        track, now = midi.add_track(), 0
        for tick, message in sorted(messages, key=lambda m: m[0]):
            message.time = tick - now
            track.append(message)
            now = tick
        track.append(mido.MetaMessage("end_of_track", time=end - now))
    return midi


def _conducted(song: Song) -> Iterator[tuple[int, "mido.MetaMessage"]]:
    from mido import MetaMessage, bpm2tempo

    bar = song.style.bar * TICKS
    over, under = song.style.metre
    yield 0, MetaMessage("track_name", name=song.style.name)
    yield 0, MetaMessage("time_signature", numerator=over, denominator=under)
    yield 0, MetaMessage("key_signature", key=(MINOR_KEYS if song.minor else KEYS)[song.key])
    for i, tempo in enumerate(song.tempi):
        yield i * bar, MetaMessage("set_tempo", tempo=bpm2tempo(tempo))
    for section in song.sections:
        yield section.start * bar, MetaMessage("marker", text=section.letter)
        for i, current in enumerate(section.material.chords[: section.bars * song.style.bar]):
            if not i or current != section.material.chords[i - 1]:
                yield section.start * bar + i * TICKS, MetaMessage("text", text=current.name)


def _sounded(song: Song, role: str) -> Iterator[tuple[int, "mido.Message | mido.MetaMessage"]]:
    from mido import Message, MetaMessage

    channel, (volume, pan) = CHAIRS[role].channel, song.places[role]
    yield 0, MetaMessage("track_name", name=role)
    yield 0, Message("program_change", channel=channel, program=song.programs[role])
    yield 0, Message("control_change", channel=channel, control=7, value=volume)
    yield 0, Message("control_change", channel=channel, control=10, value=pan)
    ends = [(n.end, False, n.pitch, 64) for n in song.played[role]]
    starts = [(n.start, True, n.pitch, n.velocity) for n in song.played[role]]
    for tick, starting, pitch, velocity in sorted(ends + starts):  # ends come before starts
        kind = "note_on" if starting else "note_off"
        yield tick, Message(kind, channel=channel, note=pitch, velocity=velocity)
