"""Stems are made from a score: performed, rendered source by source, placed, levelled."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from vsep_ray import storage
from vsep_ray.audio.formats import AudioError
from vsep_ray.audio.resampling import Audio, map_channels, resample
from vsep_ray.config import UserError, option, what_counts
from vsep_ray.music import families as tables
from vsep_ray.music.fonts import DEBIAN, Font, check_fonts, parse_fonts, preset_of
from vsep_ray.music.levels import LevelsConfig, common_gain
from vsep_ray.music.performance import PerformanceConfig
from vsep_ray.music.rendering import render
from vsep_ray.music.score import Control, Note, Score, busiest
from vsep_ray.music.synthesiser import RATE, Player, fluidsynth, version

TAIL = 1.0
"""A song sounds on for this number of seconds after its last note ends."""
LONGEST = 1_800
"""Seconds; a whole song of more is a mistake of its file, and would not fit into memory."""


@dataclass(frozen=True)
class StemsRecipe(PerformanceConfig, LevelsConfig):
    """The recipe says how a score becomes stems; a song of the same name and seed is the same anywhere."""

    player: ClassVar[type[Player]] = Player
    """What plays the notes."""
    fonts: tuple[str, ...] = option((DEBIAN,), role="place", short="fonts")
    """SoundFonts (sf2, sf3), local, s3:// or gs://. Each source of a song gets one, drawn by their weights:
    FILE.sf2:2 comes twice as often as FILE.sf2. Short form: --fonts."""
    families: tuple[str, ...] = option(("slakh",), short="families")
    """Which instruments make a source: slakh (bass, drums, guitar, piano, other), four (bass, drums, other),
    six (as slakh, without choirs and voices), or SOURCE=PROGRAMS pairs such as strings=40-44,48-51 drums=kit
    other='*', programs from 0 to 127; '*' is the rest, the source - is left out. Short form: --families."""
    seconds: float = 0.0
    """Length of the excerpt of each song, in which most sources play for most of the time; 0: whole songs."""

    @property
    def table(self) -> tables.Families:
        """The sources and their instruments."""
        return tables.families(self.families)

    def check(self) -> None:
        """Refuses what cannot be rendered here.

        Raises:
            UserError: a value is out of range, a font is not there, or FluidSynth is not installed.
        """
        LevelsConfig.check(self)
        PerformanceConfig.check(self)
        if self.seconds and not 1 <= self.seconds <= LONGEST:
            raise UserError(
                f"--dataset.seconds must lie between 1 and {LONGEST}, or be 0, got {self.seconds}"
            )
        assert self.table.sources
        check_fonts(parse_fonts(self.fonts))
        fluidsynth()

    def ingredients(self) -> list[Any]:
        """Returns what decides, beside the notes, what a song sounds like, JSON-ready: all settings, and
        FluidSynth's version and the fonts' names, weights, bytes and times of their last change.
        """
        fonts = parse_fonts(self.fonts)
        named = [[storage.relative(f.uri, storage.parent(f.uri)), f.weight] for f in fonts]
        return [what_counts(self), version(), named, storage.stamps([font.uri for font in fonts])]

    def bytes_of_song(self, seconds: float) -> int:
        """Returns the bytes of a rendered stereo song of some length, roughly."""
        return int(4 * 2 * RATE * seconds)

    def stems(
        self,
        score: Score,
        song: str,
        sources: Sequence[str],
        sample_rate: int,
        channels: int,
        most: float = 0.0,
    ) -> dict[str, Audio]:
        """Returns the stems of a song, of one length; a source without a note is silence.

        Args:
            score: its notes.
            song: its name, by which it is drawn how it is performed.
            sources: which stems; what others do changes none of them, but for the common gain.
            sample_rate: Hz.
            channels: of the stems.
            most: seconds that are rendered at most, from anywhere in the song, as loud as all of it would be
                if it were alike throughout; 0: all.

        Returns:
            Source -> (channels, T).

        Raises:
            AudioError: stage ``decode``, if no source has a note, no font has an instrument, or the song is
                too long.
        """
        parts, controls = self._parts(score, song)
        start, seconds = self._excerpt(parts, self.dice(song, "excerpt"))
        if 0 < most < seconds:
            start += self.dice(song, "glimpse").uniform(0, seconds - most)
            seconds = most
        stems = {}
        for source in sources:
            part = Score(tuple(parts[source]), controls)
            audio = self._rendered(part, f"{song}/{source}", start, seconds)
            audio = resample(map_channels(audio, channels), RATE, sample_rate)
            stems[source] = self.levelled(audio, sample_rate, self.dice(song, f"level/{source}"))
        gain = common_gain(list(stems.values()))
        for audio in stems.values():
            audio *= gain
        return stems

    def seconds_of(self, score: Score, song: str) -> float:
        """Returns the length (s) of the stems of a song, which is not rendered.

        Raises:
            AudioError: stage ``decode``, if no source has a note, or the song is too long.
        """
        return self._excerpt(self._parts(score, song)[0], self.dice(song, "excerpt"))[1]

    def _parts(self, score: Score, song: str) -> tuple[dict[str, list[Note]], tuple[Control, ...]]:
        """Returns the notes of each source, and the controls of all, as the song is performed."""
        performed = self.perform(score, song, self.table)
        parts: dict[str, list[Note]] = {source: [] for source in ("", *self.table.sources)}
        for note in performed.notes:
            parts[self.table.source_of(note.channel, note.program)].append(note)
        del parts[""]
        return parts, performed.controls

    def _excerpt(self, parts: Mapping[str, Sequence[Note]], dice: random.Random) -> tuple[float, float]:
        """Returns start and length (s)."""
        ends = [note.end for notes in parts.values() for note in notes]
        if not ends:
            raise AudioError("decode", f"no note of {', '.join(parts)}")
        whole = max(ends) + TAIL
        if self.seconds:
            return busiest(parts, self.seconds, dice), min(self.seconds, whole)
        if whole > LONGEST:
            raise AudioError(
                "decode", f"{whole:.0f} s long, expected {LONGEST} at most without --dataset.seconds"
            )
        return 0.0, whole

    def _rendered(self, part: Score, name: str, start: float, seconds: float) -> Audio:
        """Returns one source as a font plays it, at its place in stereo. Shape: -> (2, T) at `RATE`."""
        if not part.notes:
            return np.zeros((2, round(seconds * RATE)), np.float32)
        fonts = _able(parse_fonts(self.fonts), part.notes)
        (font,) = self.dice(name, "font").choices(fonts, [f.weight for f in fonts])
        audio = render(part.notes, part.controls, font.uri, start, seconds, self.player)
        return self.placed(audio, self.dice(name, "place"))


def _able(fonts: Sequence[Font], notes: Sequence[Note]) -> list[Font]:
    """Returns the fonts that have all instruments of the notes."""
    places = sorted({(n.channel, n.program) for n in notes})
    able = [font for font in fonts if all(preset_of(font.uri, *place) for place in places)]
    if not able:
        programs = ", ".join(str(program) for _, program in places)
        raise AudioError("decode", f"no SoundFont has all of the programs {programs}")
    return able
