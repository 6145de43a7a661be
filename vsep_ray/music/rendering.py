"""Rendering makes sound of notes: one source of one song, by one font, at 44.1 kHz in stereo."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from vsep_ray.audio.formats import AudioError
from vsep_ray.audio.resampling import Audio
from vsep_ray.music.fonts import local_font, preset_of
from vsep_ray.music.score import Control, Note
from vsep_ray.music.synthesiser import BLOCK, RATE, Player

CONTROL, RELEASE, STRIKE = range(3)
"""What happens at the same time happens in this order."""
EARLIER = 2.0
"""Notes count from this number of seconds before an excerpt, so that they sound on into it."""
FADE = 0.02
"""Seconds; excerpts start and end without a click."""


class _Event(NamedTuple):
    block: int
    kind: int
    channel: int
    number: int
    """The key of a note, or the controller."""
    value: int = 0
    """The velocity of a note, or the controller's value."""
    program: int = 0


def render(
    notes: Sequence[Note],
    controls: Iterable[Control],
    font: str,
    start: float,
    seconds: float,
    make_player: type[Player] = Player,
) -> Audio:
    """Returns notes as sound.

    Args:
        notes: those of one source.
        controls: those of the song; channels without a note are passed over.
        font: URI of the font.
        start: second of the song at which the sound starts.
        seconds: length of the sound.
        make_player: what plays the notes.

    Returns:
        (2, round(seconds * `RATE`)), as loud as the notes and the font make it.

    Raises:
        AudioError: stage ``decode``, if the font lacks an instrument.
        UserError: FluidSynth is not installed, or the font is not on this machine.
    """
    skipped = min(start, EARLIER)
    blocks = _block(skipped + seconds) + 1
    events = sorted(_events(notes, controls, start - skipped, blocks), key=lambda e: e[:2])
    presets = {(e.channel, e.program): _preset(font, e) for e in events if e.kind == STRIKE}
    with make_player(local_font(font), blocks * BLOCK) as player:
        _play(player, events, presets)
    first, length = round(skipped * RATE), round(seconds * RATE)
    return _faded(player.played[:, first : first + length])


def _play(player: Player, events: Sequence[_Event], presets: dict[tuple[int, int], tuple[int, int]]) -> None:
    """Plays the events, in their order, to the player's end."""
    programs: dict[int, int] = {}
    for event in events:
        player.play_to(event.block * BLOCK)
        channel = event.channel
        if event.kind == CONTROL:
            player.control(channel, event.number, event.value)
        elif event.kind == RELEASE:
            player.release(channel, event.number)
        else:
            if programs.get(channel) != event.program:
                programs[channel] = event.program
                player.select(channel, *presets[channel, event.program])
            player.strike(channel, event.number, event.value)
    player.play_to(player.played.shape[1])


def _events(
    notes: Iterable[Note], controls: Iterable[Control], start: float, blocks: int
) -> Iterator[_Event]:
    """Yields what happens in the given number of blocks from a start (s): all earlier controls first."""
    sounding = [n for n in notes if n.start >= start and _block(n.start - start) < blocks]
    channels = {n.channel for n in sounding}
    for control in controls:
        block = _block(max(0.0, control.time - start))
        if control.channel in channels and block < blocks:
            yield _Event(block, CONTROL, *control[1:])
    for note in sounding:
        block = _block(note.start - start)
        yield _Event(block, STRIKE, note.channel, note.key, note.velocity, note.program)
        # at least a block later: a release in the same block would come before its note
        end = max(block + 1, _block(note.end - start))
        yield _Event(min(end, blocks), RELEASE, note.channel, note.key)


def _block(seconds: float) -> int:
    return round(seconds * RATE) // BLOCK


def _preset(font: str, event: _Event) -> tuple[int, int]:
    found = preset_of(font, event.channel, event.program)
    if found is None:
        raise AudioError("decode", f"plays program {event.program}, which SoundFont {font} lacks")
    return found


def _faded(audio: Audio) -> Audio:
    ramp = np.linspace(0, 1, min(round(FADE * RATE), audio.shape[1]), dtype=np.float32)
    audio[:, : len(ramp)] *= ramp
    audio[:, audio.shape[1] - len(ramp) :] *= ramp[::-1]
    return audio
