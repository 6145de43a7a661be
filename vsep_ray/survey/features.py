"""What crops sound like in figures: their spectrum, the pitches of their partials, and their onsets."""

import numpy as np
from numpy.typing import NDArray

from vsep_ray.audio.resampling import Audio

Figures = NDArray[np.floating]

SPECTRUM = 2_048
"""Samples of the windows of a spectrum, at most."""
KEYS = 88
"""Piano keys from 27.5 Hz (A0) to 4,186 Hz (C8), equally tempered."""
PITCH_SECONDS = 0.19
"""Length of the windows that pitches are looked for in (s): partials of 27.5 Hz stand five bins apart."""
PARTIALS, RANGE = 3, 0.1
"""Partials of a window that count, and the share of the strongest one's amplitude that the others need."""
ONSET_SECONDS, HOP_SECONDS = 0.032, 0.01
"""Length and distance of the windows that onsets are looked for in (s)."""
ONSET_BANDS, LOWEST_HZ = 32, 40.0
"""Bands of equal width in octaves that onsets are looked for in, and where the lowest begins (Hz)."""
RISE = 0.25
"""An onset raises the level of all bands by a quarter of a neper (2.2 dB) on average, above what is usual
around."""
AROUND, APART = 10, 3
"""Hops on each side of an onset that say what is usual, and that hold no greater rise."""
FLOOR = 1e-4
"""Amplitude of a band (-80 dB re full scale) below which no rise counts."""


def power_spectrum(crops: Audio) -> Figures:
    """Returns the mean power per bin over crops, channels and time (Welch 1967, with Hann
    windows side by side); a full-scale sine has -3 dB in the sum over its bins.

    Shape: (N, C, T) -> (F,), from 0 Hz to the Nyquist frequency.
    """
    size = window_of(crops.shape[-1], SPECTRUM)
    power = [power_of(windows(crop, size, size)).mean(axis=(0, 1)) for crop in crops]
    mean = np.mean(power, axis=0, dtype=float) * 2 / (size * np.square(np.hanning(size)).sum())
    mean[[0, -1]] /= 2
    return mean


def key_histogram(crops: Audio, sample_rate: int) -> Figures:
    """Returns how often each piano key was among the three strongest partials of a window of 0.19 s.

    A partial is a peak of the spectrum, placed by a parabola through three log magnitudes (Smith and Serra
    1987), not weaker than a tenth of the strongest. Shape: (N, C, T) -> (88,).
    """
    size = window_of(crops.shape[-1], round(PITCH_SECONDS * sample_rate))
    count = np.zeros(KEYS)
    for crop in crops:
        bins = _peaks(np.abs(windows(crop.mean(axis=0), size, size)))
        keys = np.rint(12 * np.log2(bins * sample_rate / size / 27.5)).astype(int)
        count += np.bincount(keys[(keys >= 0) & (keys < KEYS)], minlength=KEYS)
    return count


def onsets(crop: Audio, sample_rate: int) -> int:
    """Returns the number of onsets in a crop: peaks of the spectral flux, the mean rise of the bands' log
    amplitudes from one window to the next (Dixon 2006; bands as in Boeck et al. 2012). Shape: (C, T) -> ().
    """
    size, hop = (max(2, round(s * sample_rate)) for s in (ONSET_SECONDS, HOP_SECONDS))
    if crop.shape[-1] < size + hop:
        return 0
    power = power_of(windows(crop.mean(axis=0), size, hop)) * (4 / size) ** 2
    edges = np.geomspace(LOWEST_HZ, sample_rate / 2, ONSET_BANDS + 1)[:-1] * size / sample_rate
    bands = np.sqrt(np.add.reduceat(power, np.unique(np.rint(edges).astype(int)), axis=1))
    flux = np.maximum(np.diff(np.log(bands + FLOOR), axis=0), 0).mean(axis=1)
    usual = np.median(_around(flux, AROUND), axis=1)
    highest = _around(flux, APART)
    first = flux > highest[:, :APART].max(axis=1)  # of equal rises the first
    return int(np.sum((flux - usual > RISE) & first & (flux >= highest.max(axis=1))))


def power_of(spectra: NDArray[np.complexfloating]) -> Figures:
    """Returns |X|^2, in a fifth of the time that the magnitude takes."""
    return np.square(spectra.real) + np.square(spectra.imag)


def window_of(length: int, most: int) -> int:
    """Returns the largest power of two that is neither above ``length`` nor above ``most`` samples."""
    return 1 << (max(2, min(length, most)).bit_length() - 1)


def windows(signal: Audio, size: int, hop: int) -> NDArray[np.complexfloating]:
    """Returns the spectra of Hann windows, those that lie within the signal; a shorter one is filled up with
    silence. Shape: (..., T) -> (..., N, size // 2 + 1).
    """
    missing = max(0, size - signal.shape[-1])
    padded = np.pad(signal, [(0, 0)] * (signal.ndim - 1) + [(0, missing)]) if missing else signal
    pieces = np.lib.stride_tricks.sliding_window_view(padded, size, axis=-1)[..., ::hop, :]
    return np.fft.rfft(pieces * np.hanning(size).astype(np.float32))


def _peaks(magnitude: Figures) -> Figures:
    """Returns the places, in bins, of the strongest peaks of all windows (N, F) but silent ones."""
    middle = magnitude[:, 1:-1]
    peak = (middle > magnitude[:, :-2]) & (middle >= magnitude[:, 2:])
    height = np.where(peak, middle, 0)
    least = np.sort(height, axis=1)[:, -PARTIALS:][:, :1]
    strong = (height >= least) & (height >= RANGE * height.max(axis=1, keepdims=True))
    row, column = np.nonzero(strong & (height > FLOOR))
    low, here, high = (np.log(magnitude[row, column + i] + 1e-12) for i in range(3))
    return column + 1 + 0.5 * (low - high) / (low - 2 * here + high)


def _around(flux: Figures, hops: int) -> Figures:
    """Returns every value with its neighbours on both sides: (N,) -> (N, 2 hops + 1)."""
    return np.lib.stride_tricks.sliding_window_view(np.pad(flux, hops), 2 * hops + 1)
