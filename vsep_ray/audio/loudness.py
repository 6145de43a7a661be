"""Loudness by ITU-R BS.1770-4: K-weighted energy of the blocks that pass two gates, in constant memory."""

import functools
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from vsep_ray.audio.resampling import Audio

AUDIBLE_LUFS = -70.0
"""BS.1770 takes what is below for silence."""
HOP, BLOCK = 0.1, 4
"""BS.1770 measures blocks of four hops of 0.1 s, one at every hop."""
OFFSET, GATE = -0.691, -10.0
"""LUFS of energy 1, and the LU below the mean of all audible blocks under which a block does not count."""
SILENT = 1e-12
"""Weighted energy that stands for silence."""
AT_ONCE = 50
"""Hops that are worked on together: they fit into a processor's cache."""


def loudness(audio: Audio, sample_rate: int) -> float:
    """Returns the loudness (LUFS, integrated) of (C, T) samples; -inf for silence or less than a block.

    The filters are pyloudnorm's. Its meter gives the same figure in four times the time, since it filters
    twice and measures every hop four times.
    """
    hop = round(HOP * sample_rate)
    energy = np.array([*_energies(audio[:, : audio.shape[1] // hop * hop], sample_rate, hop)])
    blocks = np.convolve(energy, np.full(BLOCK, 1 / BLOCK), "valid") if len(energy) >= BLOCK else energy[:0]
    loud = blocks[blocks > _energy(AUDIBLE_LUFS)]
    if not len(loud):
        return -math.inf
    return _lufs(loud[loud > loud.mean() * 10 ** (GATE / 10)].mean())


def crop_loudness(crops: NDArray[np.float32], sample_rate: int) -> NDArray[np.float64]:
    """Returns the loudness (LUFS) of short pieces, without BS.1770's gates: of a block or less there is
    nothing to leave out. Silence is about -120.

    Shape: (..., C, T) -> (...).
    """
    from scipy.signal import sosfilt

    weighted = sosfilt(_weighting(sample_rate), crops.astype(np.float64))
    energy = np.einsum("...ct,...ct->...", weighted, weighted) / crops.shape[-1]
    return OFFSET + 10 * np.log10(np.maximum(energy, SILENT))


def short_loudness(audio: Audio, sample_rate: int) -> float:
    """Returns the `loudness` (LUFS) of (C, T) samples, or of less than a block the `crop_loudness`; -inf for
    silence.
    """
    if audio.shape[1] >= BLOCK * round(HOP * sample_rate):
        return loudness(audio, sample_rate)
    found = float(crop_loudness(audio, sample_rate))
    return found if found > AUDIBLE_LUFS else -math.inf


def _energies(audio: Audio, sample_rate: int, hop: int) -> Iterator[float]:
    """Yields the weighted energy of each hop, summed over channels, in constant memory."""
    from scipy.signal import sosfilt

    state = np.zeros((2, len(audio), 2))
    for start in range(0, audio.shape[1], AT_ONCE * hop):
        part = audio[:, start : start + AT_ONCE * hop].astype(np.float64)
        weighted, state = sosfilt(_weighting(sample_rate), part, zi=state)
        hops = weighted.reshape(len(audio), -1, hop)
        yield from np.einsum("chn,chn->h", hops, hops) / hop


@functools.cache
def _weighting(sample_rate: int) -> NDArray[np.float64]:
    """Returns the two filters of BS.1770's K-weighting. Shape: -> (2, 6)."""
    from pyloudnorm import IIRfilter

    shelf = IIRfilter(4.0, 1 / math.sqrt(2), 1_500.0, sample_rate, "high_shelf")
    rumble = IIRfilter(0.0, 0.5, 38.0, sample_rate, "high_pass")
    return np.array([[*f.b, *f.a] for f in (shelf, rumble)])


def _lufs(energy: float) -> float:
    return OFFSET + 10 * math.log10(energy)


def _energy(lufs: float) -> float:
    return 10 ** ((lufs - OFFSET) / 10)
