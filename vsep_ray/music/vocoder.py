"""WORLD takes a voice apart into pitch, spectral envelope and aperiodicity, and puts it together again
(Morise, Yokomori, Ozawa 2016), by pyworld.

So pitch, vocal tract and timing can be changed apart from each other. It is made for one voice at a time,
without reverberation.
"""

from types import ModuleType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vsep_ray.config import UserError

Frames = NDArray[np.float64]

PER_SECOND = 200
"""Frames per second."""
LOWEST, HIGHEST = 71.0, 1_100.0
"""Hz; pitch is looked for between them: from a bass's D2, the lowest that WORLD's window is made for, to a
soprano's C6."""
SUNG = (40.0, 1_500.0)
"""Hz; no voice is made lower or higher."""
RATES = (16_000, 48_000)
"""Hz; WORLD damages its memory at rates of 6,000 Hz and below, and gains nothing above 48 kHz."""
SHORTEST = 0.1
"""Seconds; what is shorter cannot be taken apart."""


class Voice(NamedTuple):
    """A voice is taken apart, frame by frame.

    Attributes:
        pitch: f0 (Hz), 0 where there is no voice. Shape: (N,).
        envelope: the power spectrum without the harmonics. Shape: (N, F), from 0 Hz to half the rate.
        aperiodicity: share of noise in the amplitude of each frequency, from 0 to 1. Shape: (N, F).
        sample_rate: Hz.
    """

    pitch: Frames
    envelope: Frames
    aperiodicity: Frames
    sample_rate: int

    @property
    def voiced(self) -> NDArray[np.bool_]:
        """Where there is pitch."""
        return self.pitch > 0


def pyworld() -> ModuleType:
    """Returns pyworld's module.

    Raises:
        UserError: it, or another part of the extra, is not installed.
    """
    try:
        import pyloudnorm  # noqa: F401
        import pyworld as module
    except ImportError as error:
        raise UserError(
            f"voices cannot be taken apart here: {error}. Expected the extra, pip install 'vsep_ray[voices]'"
        ) from error
    return module


def analyse(samples: NDArray[np.floating], sample_rate: int) -> Voice:
    """Returns a voice, taken apart by Harvest (Morise 2017), CheapTrick (2015) and D4C (2016).

    Args:
        samples: (T,), `SHORTEST` or longer.
        sample_rate: Hz, within `RATES`.
    """
    world, sound = pyworld(), np.ascontiguousarray(samples, np.float64)
    options = {"f0_floor": LOWEST, "f0_ceil": HIGHEST, "frame_period": 1_000 / PER_SECOND}
    pitch, times = world.harvest(sound, sample_rate, **options)
    envelope = world.cheaptrick(sound, pitch, times, sample_rate)
    return Voice(pitch, envelope, world.d4c(sound, pitch, times, sample_rate), sample_rate)


def synthesise(voice: Voice) -> NDArray[np.float32]:
    """Returns the sound of a voice, up to a frame longer than what it was taken from. Shape: -> (T,)."""
    parts = [np.ascontiguousarray(part) for part in voice[:3]]
    return pyworld().synthesize(*parts, voice.sample_rate, 1_000 / PER_SECOND).astype(np.float32)


def transposed(voice: Voice, semitones: Frames | float) -> Voice:
    """Returns a voice at another pitch; its formants stay. What would leave the range of voices stays at its
    end.

    Args:
        voice: to be transposed.
        semitones: for each frame, or for all.
    """
    moved = np.clip(voice.pitch * 2 ** (np.asarray(semitones) / 12), *SUNG)
    return voice._replace(pitch=np.where(voice.voiced, moved, 0.0))


def with_formants(voice: Voice, ratio: float) -> Voice:
    """Returns a voice of another vocal tract: E'(f) = E(f / ratio); its pitch stays.

    Args:
        voice: to be changed.
        ratio: of the frequencies of all formants; above 1 the tract is shorter by as much.
    """
    bins = voice.envelope.shape[1]
    places = np.minimum(np.arange(bins) / ratio, bins - 1)
    below = np.minimum(places.astype(int), bins - 2)
    share = places - below
    warped = voice.envelope[:, below] * (1 - share) + voice.envelope[:, below + 1] * share
    return voice._replace(envelope=warped)


def retimed(voice: Voice, places: Frames) -> Voice:
    """Returns a voice whose frames are those at some places of another's, the nearest of each. Those before
    its beginning are its first, those after its end its last.

    Args:
        voice: with N frames.
        places: in frames. Shape: (N',).
    """
    nearest = np.clip(np.rint(places).astype(int), 0, len(voice.pitch) - 1)
    pitch, envelope, aperiodicity = (part[nearest] for part in voice[:3])
    return Voice(pitch, envelope, aperiodicity, voice.sample_rate)
