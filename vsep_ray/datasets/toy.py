"""Toy waves are K wave forms that play one random piano key each; their mixture is their mean.

The task of M. Frank (2020): four sources that a density model can tell apart, at any rate and length, made on
the fly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from typing_extensions import override

from vsep_ray.config import UserError, to_dict
from vsep_ray.datasets.dataset import Dataset, Inventory
from vsep_ray.datasets.streams import Stream
from vsep_ray.datasets.track import CropConfig, Stem, Track

Shape = Literal["sine", "sawtooth", "square", "triangle"]
SHAPES: tuple[Shape, ...] = get_args(Shape)
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class ToyConfig(Dataset):
    """Toy waves are K wave forms of one random key each; their mixture is their mean."""

    has_splits = True

    shapes: tuple[Shape, ...] = SHAPES
    """Wave forms, one source each."""
    lowest_hz: float = 27.5
    """Hz; lowest of the piano keys that are used (27.5: all 88)."""
    highest_hz: float = 4_186.01
    """Hz; highest of the piano keys that are used; keys at or above the Nyquist frequency are left out."""
    band_limited: bool = True
    """Sum of harmonics below the Nyquist frequency; otherwise the naive, aliased wave."""
    train_tracks: int = 8_192
    """Tracks (one crop of each source) in split train."""
    valid_tracks: int = 200
    """Tracks in split valid."""
    test_tracks: int = 256
    """Tracks in split test."""
    seed: int = 0
    """Seed of keys, phases and amplitudes."""

    @override
    def find(self) -> list[Track]:
        """Returns all tracks of all splits, in order; ``track.id`` is ``<split>-<index>``."""
        counts = (self.train_tracks, self.valid_tracks, self.test_tracks)
        named = [(s, f"{s}-{i:06d}") for s, num in zip(SPLITS, counts, strict=True) for i in range(num)]
        return [
            Track(name, stems=tuple(Stem(w, (f"toy:{name}:{w}",)) for w in self.shapes), split=split)
            for split, name in named
        ]

    @override
    def open(self, track: Track, crop: CropConfig) -> Mapping[str, Stream]:
        sources = render(track, self, crop.sample_rate, crop.channels, crop.length)
        return {source: iter([wave]) for source, wave in sources.items()}

    @override
    def scales(self, num: int) -> tuple[float, ...]:
        return (1 / num,) * num

    @override
    def paired(self, tracks: Sequence[Track]) -> bool:
        return True

    @override
    def inventory(self, tracks: Sequence[Track]) -> Inventory:
        return Inventory(to_dict(self), [0] * len(tracks))


def render(
    track: Track, config: ToyConfig, sample_rate: int, channels: int, length: int
) -> dict[str, np.ndarray]:
    r"""Returns the sources of a toy track: :math:`s_k(t) = A_k\, w_k(f_k t + \varphi_k)`, equal in all
    channels.

    The key :math:`f_k` is uniform over the piano keys of the config, the phase over [0, 1) periods, the
    amplitude over [0.2, 1). The draws depend on (seed, split, track index, shape) alone: neither order,
    parallelism nor the other shapes change them.

    Returns:
        Shape name -> float32 of shape (C, T), C = ``channels``, T = ``length`` samples.

    Raises:
        UserError: no piano key lies between ``lowest_hz`` and ``highest_hz`` below the Nyquist frequency.
    """
    keys = piano_keys(config.lowest_hz, min(config.highest_hz, np.nextafter(sample_rate / 2, 0)))
    place = SPLITS.index(track.split), int(track.id.rpartition("-")[2])
    sources: dict[str, np.ndarray] = {}
    for shape in config.shapes:
        rng = np.random.default_rng([config.seed, *place, SHAPES.index(shape)])
        key, phase, amplitude = rng.choice(keys), rng.random(), rng.uniform(0.2, 1)
        samples = amplitude * wave(shape, key, phase, sample_rate, length, band_limited=config.band_limited)
        sources[shape] = np.tile(samples.astype(np.float32), (channels, 1))
    return sources


def piano_keys(lowest_hz: float, highest_hz: float) -> np.ndarray:
    """Returns the piano keys in [lowest, highest]: f_n = 27.5 * 2^(n/12) Hz, n = 0..87 (equal temperament, A4
    = 440 Hz).

    Raises:
        UserError: there is no key in that range.
    """
    keys = 27.5 * 2 ** (np.arange(88) / 12)
    keys = keys[(keys >= lowest_hz * (1 - 1e-6)) & (keys <= highest_hz)]  # 261.63 Hz typed for C4 means C4
    if not len(keys):
        span = f"{lowest_hz:g} and {highest_hz:g} Hz"
        raise UserError(f"no piano key lies between {span} (below the Nyquist frequency); widen the range")
    return keys


def wave(
    shape: Shape,
    frequency_hz: float,
    phase: float | np.ndarray,
    sample_rate: int,
    length: int,
    *,
    band_limited: bool,
) -> np.ndarray:
    """Returns a wave form w(u) of amplitude 1 at u = phase + frequency_hz * t / sample_rate periods, t =
    0..length-1.

    The naive wave is the ideal one sampled, aliases included; the band-limited one is its Fourier series
    below the Nyquist frequency (so a square overshoots to about 1.18, the Gibbs phenomenon).

    Returns:
        float64 of shape (T,), or (P, T) for phases of shape (P, 1).
    """
    periods = phase + frequency_hz / sample_rate * np.arange(length)
    if not band_limited:
        return _naive(shape, periods)
    coefficients = fourier_sine(shape, int(np.ceil(sample_rate / 2 / frequency_hz)) - 1)
    return np.polynomial.polynomial.polyval(np.exp(2j * np.pi * periods), np.append(0, coefficients)).imag


def fourier_sine(shape: Shape, harmonics: int) -> np.ndarray:
    """Returns the coefficients b_n, n = 1..harmonics, of w(u) = sum_n b_n sin(2 pi n u).

    ======== ================================================
    sine     1 for n = 1
    sawtooth 2 / (pi n) * (-1)^(n+1)
    square   4 / (pi n) for odd n
    triangle 8 / (pi n)^2 * (-1)^((n-1)/2) for odd n
    ======== ================================================
    """
    n = np.arange(1, harmonics + 1)
    match shape:
        case "sine":
            return (n == 1).astype(float)
        case "sawtooth":
            return 2 / (np.pi * n) * (-1.0) ** (n + 1)
        case "square":
            return 4 / (np.pi * n) * (n % 2)
        case "triangle":
            return 8 / (np.pi * n) ** 2 * (n % 2) * (-1.0) ** ((n - 1) // 2)


def _naive(shape: Shape, periods: np.ndarray) -> np.ndarray:
    sine = np.sin(2 * np.pi * periods)
    match shape:
        case "sine":
            return sine
        case "sawtooth":
            return 2 * ((periods + 0.5) % 1) - 1
        case "square":
            return np.sign(sine)
        case "triangle":
            return 2 / np.pi * np.arcsin(sine)
