"""Clips of different songs fit each other if they share harmony and tempo, as those of one song do.

A clip is described by its chroma, the energy of the twelve pitch classes, and by the autocorrelation of its
onsets, which peaks at its beat; neither says where a beat falls.

References: Fujishima, Realtime chord recognition of musical sound, 1999 (chroma); Dixon, Onset detection
revisited, 2006 (spectral flux).
"""

import numpy as np
from numpy.typing import NDArray

FRAME, HOP = 0.128, 0.032
"""Length and distance of the frames that onsets are found in (s)."""
LOWEST, HIGHEST = 60.0, 2_000.0
"""Range of the frequencies (Hz) whose pitch classes count."""
BEATS = (0.25, 1.5)
"""Range of the periods (s) by which rhythms are compared."""


def describe(clips: NDArray[np.float32], sample_rate: int) -> NDArray[np.float64]:
    """Returns descriptions whose dot product says how well clips fit, from -2 to 2; those of silence,
    and of a clip that is too short for a beat, are zero in that part.

    Shape: (N, C, T) -> (N, F).
    """
    size, hop = round(FRAME * sample_rate), round(HOP * sample_rate)
    mono = np.pad(clips.mean(1), ((0, 0), (0, max(0, size + hop - clips.shape[2]))))
    frames = np.lib.stride_tricks.sliding_window_view(mono, size, axis=1)[:, ::hop]
    spectra = np.abs(np.fft.rfft(frames * np.hanning(size).astype(np.float32)))
    return np.concatenate([_normalised(_chroma(spectra, sample_rate)), _normalised(_rhythm(spectra))], 1)


def _chroma(spectra: NDArray[np.floating], sample_rate: int) -> NDArray[np.float64]:
    """Returns the energy of each pitch class. Shape: (N, frames, bins) -> (N, 12)."""
    hz = np.arange(spectra.shape[2]) * sample_rate / (2 * spectra.shape[2] - 2)
    known = (hz >= LOWEST) & (hz <= HIGHEST)
    classes = np.rint(12 * np.log2(hz[known] / 440)).astype(int) % 12
    energy = (spectra[:, :, known] ** 2).sum(1)
    return energy @ np.eye(12)[classes]


def _rhythm(spectra: NDArray[np.floating]) -> NDArray[np.float64]:
    """Returns the flux's autocorrelation over `BEATS`. Shape: (N, frames, bins) -> (N, lags)."""
    flux = np.maximum(np.diff(np.log1p(spectra), axis=1), 0).sum(2)
    flux = flux - flux.mean(1, keepdims=True)
    first, last = (round(period / HOP) for period in BEATS)
    power = np.abs(np.fft.rfft(flux, flux.shape[1] + last)) ** 2
    return np.fft.irfft(power)[:, first:last]


def _normalised(parts: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = parts - parts.mean(1, keepdims=True)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9)
