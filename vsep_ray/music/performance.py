"""A performance plays a score a little otherwise: other instruments, key, tempo, timing and touch.

Every draw depends on the seed and the song alone, so that a song is the same on any machine.
"""

import itertools
import math
import random
from dataclasses import dataclass

from vsep_ray.config import UserError
from vsep_ray.music.families import KIT_CHANNEL, Families
from vsep_ray.music.score import CHANNELS, Control, Note, Score

KEYS = 128
OCTAVE = 12


@dataclass(frozen=True)
class PerformanceConfig:
    """A song is performed in its own way, drawn by the seed and its name."""

    swap: float = 0.5
    """Chance that a channel's instruments give way to others of their family in the same source, such as a
    violin to a cello, and the kit to another kit; 0: those of the file."""
    transpose: int = 3
    """Semitones by which a song is moved up or down at most, percussion excepted; 0: as in the file."""
    tempo: float = 0.1
    """Share by which a song may be faster or slower: 0.1 is up to 10 %; 0: as in the file."""
    humanise: float = 8.0
    """Milliseconds by which notes come early or late (standard deviation); 0: as in the file."""
    touch: float = 6.0
    """Steps of velocity, of 127, by which notes are louder or softer (standard deviation); 0: as in the
    file."""
    seed: int = 0
    """Seed of all that is drawn for a song, beside its name."""

    def dice(self, song: str, what: str) -> random.Random:
        """Returns draws of a song for one purpose; the purposes do not disturb each other."""
        return random.Random(f"{self.seed}/{what}/{song}")  # a text seeds alike in every process

    def perform(self, score: Score, song: str, families: Families) -> Score:
        """Returns the score as this song is performed.

        Args:
            score: as it is read.
            song: the name of the song.
            families: sources, which no instrument leaves.

        """
        notes = _swapped(score.notes, self.swap, families, self.dice(song, "swap"))
        notes = _transposed(notes, _between(-self.transpose, self.transpose, self.dice(song, "transpose")))
        notes = _touched(notes, self.touch, self.dice(song, "touch"))
        pace = (1 + self.tempo) ** self.dice(song, "tempo").uniform(-1, 1)
        notes = [n._replace(start=n.start / pace, end=n.end / pace) for n in notes]
        notes = _shifted(notes, self.humanise / 1_000, self.dice(song, "humanise"))
        controls = (Control(c.time / pace, *c[1:]) for c in score.controls)
        return Score(tuple(_without_overlaps(notes)), tuple(controls))

    def check(self) -> None:
        """Refuses values out of range.

        Raises:
            UserError: with the range.
        """
        ranges = {
            "swap": (0, 1),
            "transpose": (0, 24),
            "tempo": (0, 1),
            "humanise": (0, 200),
            "touch": (0, 64),
        }
        for name, (low, high) in ranges.items():
            if not low <= (value := getattr(self, name)) <= high:
                raise UserError(f"--dataset.{name} must lie between {low} and {high}, got {value}")


def _between(low: int, high: int, dice: random.Random) -> int:
    return low + math.floor(dice.random() * (high - low + 1))


def _swapped(notes: tuple[Note, ...], chance: float, families: Families, dice: random.Random) -> list[Note]:
    """Returns notes whose channels have other programs: the same for the same program, all along the song."""
    places = {(n.channel, n.program) for n in notes}
    swapped = {channel for channel in range(CHANNELS) if dice.random() < chance}
    chosen = {}
    for channel, program in sorted(places):
        choices = families.alike(channel, program)
        other = choices[_between(0, len(choices) - 1, dice)]
        chosen[channel, program] = other if channel in swapped else program
    return [n._replace(program=chosen[n.channel, n.program]) for n in notes]


def _transposed(notes: list[Note], semitones: int) -> list[Note]:
    """Returns notes in another key. One that would leave the keyboard stays on it, an octave away."""

    def key(note: Note) -> int:
        moved = note.key + semitones * (note.channel != KIT_CHANNEL)
        back = -OCTAVE if moved >= KEYS else OCTAVE if moved < 0 else 0
        return moved + back * math.ceil(abs(semitones) / OCTAVE)

    return [n._replace(key=key(n)) for n in notes]


def _touched(notes: list[Note], spread: float, dice: random.Random) -> list[Note]:
    def velocity(note: Note) -> int:
        return max(1, min(KEYS - 1, round(dice.gauss(note.velocity, spread))))

    return [n._replace(velocity=velocity(n)) for n in notes] if spread else notes


def _shifted(notes: list[Note], spread: float, dice: random.Random) -> list[Note]:
    """Returns notes that come early or late, as long as they were; none comes before the song."""

    def moved(note: Note) -> Note:
        by = max(-note.start, max(-3 * spread, min(3 * spread, dice.gauss(0, spread))))
        return note._replace(start=note.start + by, end=note.end + by)

    return [moved(n) for n in notes] if spread else notes


def _without_overlaps(notes: list[Note]) -> list[Note]:
    """Returns notes by their start; one ends where the next of its channel and key starts, which its own end
    would cut off.
    """

    def place(note: Note) -> tuple[int, int]:
        return note.channel, note.key

    apart = []
    for _, group in itertools.groupby(sorted(notes, key=lambda n: (place(n), n)), place):
        same = list(group)
        apart += [a._replace(end=min(a.end, b.start)) for a, b in itertools.pairwise(same)] + same[-1:]
    return sorted(apart)
