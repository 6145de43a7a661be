"""FluidSynth plays: what the package needs of it, with 32-bit samples, which pyfluidsynth itself has not.

A player is made for every source of every song and forgotten, since one that has played remembers: the
same notes would sound otherwise after other songs. Reading a font's tables takes some 0.05 s. Samples are
read when an instrument is chosen, and kept by the process, since those of an sf3 font may take seconds to
decode. Effects are off: what sounds is what is played, and sources add up.
"""

import contextlib
import ctypes
import functools
import io
import itertools
from pathlib import Path
from types import ModuleType, TracebackType

import numpy as np

from vsep_ray.config import UserError
from vsep_ray.music.score import CHANNELS, PITCH

RATE = 44_100
"""Hz; that of most fonts' samples, whatever the crops are resampled to."""
BLOCK = 64
"""Samples; FluidSynth acts on what comes between two blocks at the start of the next."""
SETTINGS = {
    "synth.chorus.active": 0,
    "synth.reverb.active": 0,
    "synth.cpu-cores": 1,
    "synth.dynamic-sample-loading": 1,
    "synth.lock-memory": 0,
}
KEPT = 48
"""Instruments of a font whose samples a process keeps; those that were chosen first make room."""
_INT, _POINTER = ctypes.c_int, ctypes.c_void_p
_WRITE = (
    ("synth", _POINTER, 1), ("length", _INT, 1),
    ("left", _POINTER, 1), ("left_from", _INT, 1), ("left_step", _INT, 1),
    ("right", _POINTER, 1), ("right_from", _INT, 1), ("right_step", _INT, 1),
)  # fmt: skip
_SET_LOG = (("level", _INT, 1), ("function", _POINTER, 1), ("data", _POINTER, 1))


@functools.cache
def fluidsynth() -> ModuleType:
    """Returns pyfluidsynth's module, made silent: a warning of every note that is cut off would drown a job's
    own lines.

    Raises:
        UserError: it, or another part of the extra, is not installed.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # where CI is set, it prints what it found
            import fluidsynth as module
        import mido  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"MIDI cannot be rendered here: {error} Expected the extra, pip install 'vsep_ray[midi]', and "
            "FluidSynth itself, apt-get install libfluidsynth3"
        ) from error
    for level in range(5):
        module.cfunc("fluid_set_log_function", _POINTER, *_SET_LOG)(level, None, None)
    return module


def version() -> str:
    """Returns FluidSynth's version: another one may make other samples of the same notes."""
    numbers = [ctypes.c_int() for _ in range(3)]
    fluidsynth().fluid_version(*numbers)
    return ".".join(str(number.value) for number in numbers)


class _Keeper:
    """A keeper never plays: FluidSynth shares samples among synthesisers, and keeps those that one needs."""

    def __init__(self, font: Path) -> None:
        self._synth = fluidsynth().Synth(samplerate=float(RATE), channels=KEPT, **SETTINGS)
        self._font = self._synth.sfload(str(font))
        self._channels = itertools.cycle(range(KEPT))
        self._kept: dict[int, tuple[int, int]] = {}

    def keep(self, bank: int, program: int) -> None:
        """Keeps the samples of an instrument."""
        if (bank, program) not in self._kept.values():
            channel = next(self._channels)
            self._kept[channel] = bank, program
            self._synth.program_select(channel, self._font, bank, program)


_keeper = functools.cache(_Keeper)


class Player:
    """A player has one font and 16 channels, and plays once.

    Attributes:
        played: all that has sounded. Shape: (2, T).
    """

    def __init__(self, font: Path, length: int) -> None:
        """Makes a player.

        Args:
            font: a SoundFont.
            length: samples that will be played, full blocks.

        Raises:
            UserError: FluidSynth is not there, or cannot read the font.
        """
        module = fluidsynth()
        self.played = np.zeros((2, length), np.float32)
        self._position = 0
        self._left, self._right = (channel.ctypes.data for channel in self.played)
        self._synth = module.Synth(samplerate=float(RATE), channels=CHANNELS, **SETTINGS)
        self._write = module.cfunc("fluid_synth_write_float", _INT, *_WRITE)
        self._font = self._synth.sfload(str(font))
        if self._font < 0:
            self._synth.delete()
            raise UserError(f"FluidSynth cannot read SoundFont {str(font)!r}; expected sf2 or sf3")
        self._keeper = _keeper(font)

    def __enter__(self) -> "Player":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._synth.delete()

    def play_to(self, position: int) -> None:
        """Lets what sounds go on up to a sample, which begins a block."""
        assert position <= self.played.shape[1], "FluidSynth would write past the end"
        if position > self._position:
            start, length = self._position, position - self._position
            if self._synth.get_active_voice_count():  # else it would take its time to add nothing
                self._write(self._synth.synth, length, self._left, start, 1, self._right, start, 1)
            self._position = position

    def select(self, channel: int, bank: int, program: int) -> None:
        """Gives a channel an instrument."""
        self._keeper.keep(bank, program)
        self._synth.program_select(channel, self._font, bank, program)

    def strike(self, channel: int, key: int, velocity: int) -> None:
        """Starts a note."""
        self._synth.noteon(channel, key, velocity)

    def release(self, channel: int, key: int) -> None:
        """Ends a note."""
        self._synth.noteoff(channel, key)

    def control(self, channel: int, number: int, value: int) -> None:
        """Moves a controller, or the pitch wheel (number `PITCH`)."""
        if number == PITCH:
            self._synth.pitch_bend(channel, value)
        else:
            self._synth.cc(channel, number, value)
