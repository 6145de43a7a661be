"""Effects make a clip sound as if it had been recorded and mixed otherwise; what it plays remains.

Every effect takes and returns samples of shape (C, T), and draws its strength from a generator. None is meant
for judging: they widen what a model learns from. The signal processing is that of libraries: filters of
pyloudnorm and scipy, gains of numpy-audio-limiter, soxr, Signalsmith's stretcher.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vsep_ray.audio.resampling import Audio, fit_length, resample

Effect = Callable[[Audio, int, np.random.Generator], Audio]
SEMITONES = 3.0
"""Semitones by which speed and pitch may move, up and down."""
BANDS = (("low_shelf", 60, 400), ("peaking", 200, 5_000), ("high_shelf", 2_000, 8_000))
"""Kind and range of the frequency (Hz) of each filter of the equaliser."""
BAND_DB = 4.0
"""Standard deviation of each filter's gain (dB)."""
TINY = 1e-9


def speed(clip: Audio, sample_rate: int, rng: np.random.Generator) -> Audio:
    """Plays it faster and higher, or slower and lower, by up to three semitones; a faster one ends before its
    time.
    """
    played = round(sample_rate * 2 ** (rng.uniform(-SEMITONES, SEMITONES) / 12))
    return fit_length(resample(clip, played, sample_rate), clip.shape[1])


def pitch(clip: Audio, sample_rate: int, rng: np.random.Generator) -> Audio:
    """Transposes it by up to three semitones at the same speed; vowels and bodies move along."""
    from python_stretch.Signalsmith import Stretch

    stretcher = Stretch(int(rng.integers(1 << 31)))
    stretcher.preset(len(clip), sample_rate)
    stretcher.setTransposeSemitones(rng.uniform(-SEMITONES, SEMITONES))
    return np.asarray(stretcher.process(np.ascontiguousarray(clip)), np.float32)


def equaliser(clip: Audio, sample_rate: int, rng: np.random.Generator) -> Audio:
    """Filters it by a low shelf, a peak and a high shelf, with gains of N(0, 4 dB)."""
    from pyloudnorm import IIRfilter
    from scipy.signal import sosfilt

    highest = 0.4 * sample_rate
    drawn = [(kind, np.exp(rng.uniform(*np.log(ends))), rng.normal(0, BAND_DB)) for kind, *ends in BANDS]
    filters = [IIRfilter(gain, np.sqrt(0.5), min(hz, highest), sample_rate, kind) for kind, hz, gain in drawn]
    return sosfilt(np.array([[*f.b, *f.a] for f in filters]), clip).astype(np.float32)


def saturation(clip: Audio, sample_rate: int, rng: np.random.Generator) -> Audio:
    """Drives it into tanh by up to 20 dB over its level, as an amplifier or a tape would."""
    drive = 10 ** (rng.uniform(0, 20) / 20) / (3 * np.sqrt(np.mean(clip**2)) + TINY)
    return np.tanh(np.float32(drive) * clip)


def compression(clip: Audio, sample_rate: int, rng: np.random.Generator) -> Audio:
    """Takes away what is louder than 6 to 20 dB below its peak."""
    threshold_db, attack, release = rng.uniform(-20, -6), rng.uniform(0.002, 0.02), rng.uniform(0.05, 0.3)
    return clip * gain_curve(np.abs(clip).max(0), sample_rate, threshold_db, attack, release)


def reverberation(clip: Audio, sample_rate: int, rng: np.random.Generator) -> Audio:
    """Adds a room: noise that decays by 60 dB in 0.15 to 1 s, 3 to 20 dB softer than what comes first.

    Reference: Polack, La transmission de l'energie sonore dans les salles, 1988.
    """
    from scipy.signal import oaconvolve

    seconds = rng.uniform(0.15, 1.0)
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    room = rng.standard_normal((len(clip), len(time))) * 10 ** (-3 * time / seconds)
    room *= 10 ** (rng.uniform(-20, -3) / 20) / np.sqrt((room**2).sum(1, keepdims=True) + TINY)
    room[:, 0] += 1
    return oaconvolve(clip, room.astype(np.float32), axes=1)[:, : clip.shape[1]]


EFFECTS: dict[str, Effect] = {
    effect.__name__: effect for effect in (speed, pitch, equaliser, saturation, compression, reverberation)
}
"""All effects, in the order in which a studio has them."""


def gain_curve(
    level: NDArray[np.float32], sample_rate: int, threshold_db: float, attack: float, release: float
) -> NDArray[np.float32]:
    """Returns the gain of a limiter that looks ahead, sample by sample, in (0, 1].

    Args:
        level: the largest magnitude over the channels. Shape: (T,).
        sample_rate: Hz.
        threshold_db: what is louder than this, in dB relative to the peak, is brought down to it.
        attack, release: time in which the gain comes within 60 dB of where it goes, down and up (s).

    Shape: (T,) -> (T,).
    """
    from numpy_audio_limiter import limit

    heard = np.maximum(level, TINY).astype(np.float32)
    coefficients = [10 ** (-3 / max(1.0, sample_rate * seconds)) for seconds in (attack, release)]
    limited = limit(
        signal=heard[None],
        attack_coeff=coefficients[0],
        release_coeff=coefficients[1],
        delay=max(1, round(0.6 * attack * sample_rate)),
        threshold=float(heard.max() * 10 ** (threshold_db / 20)),
    )
    return np.minimum(limited[0] / heard, 1)
