"""Clips become the parts of a mixture: how they sound, how loud they are, and what the whole does to them.

All that is done to a source is done before sources are added up, and what is done to the whole is one gain
curve for all of them, so that sources add up to their mixture whatever is switched on.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vsep_ray.audio.loudness import crop_loudness
from vsep_ray.batches.effects import EFFECTS, gain_curve
from vsep_ray.config import UserError, option
from vsep_ray.crops.encoding import SILENCE_DB, level_db

REMIXING = ("silence", "extra", "limiter", "align")
"""What is done to a remix, not to a clip."""


@dataclass(frozen=True)
class AugmentConfig:
    """Crops are changed at random, by what leaves a source what it is."""

    level_lufs: float | None = option(None, was=("level_db",))
    """Audible crops are first brought to this loudness (LUFS; K-weighted as in ITU-R BS.1770, over the whole
    crop); None leaves them as they are. Clips of single instruments come at levels that say nothing of their
    place in a mixture."""
    level_spread: float = option(0.0, later=True)
    """Each crop gets a gain drawn from a normal distribution of this standard deviation (dB)."""
    gain_db: float = 0.0
    """Each crop gets a random gain, uniform between minus and plus this number (dB)."""
    polarity: bool = False
    """Half of the crops change their sign; this is not for toy waves, whose sawtooth has a direction."""
    channel_swap: bool = False
    """Half of the stereo crops swap left and right."""
    silence: float = 0.0
    """A source is silent in a remix with this probability."""
    extra: tuple[float, ...] = option((), later=True)
    """A source of a remix gets a second clip of its class, of another song, with the first probability, a
    third one with the second, and so on; 0.2 0.02 in MSST (Solovyev et al., 2023)."""
    limiter: float = option(0.0, later=True)
    """A remix goes through a bus limiter with this probability: one gain curve for all sources, down to 1 to
    9 dB below the peak (Jeon & Lee, 2022)."""
    align: float = option(0.0, later=True)
    """The clips of a remix are chosen to fit each other in harmony and tempo with this probability, each the
    best of eight. Random mixtures lack what the parts of a song share: Jeon et al., 2024."""
    speed: float = option(0.0, later=True)
    """A crop is played faster or slower, by up to three semitones, with this probability."""
    pitch: float = option(0.0, later=True)
    """A crop is transposed by up to three semitones with this probability."""
    equaliser: float = option(0.0, later=True)
    """A crop goes through two shelves and a peak of N(0, 4 dB) with this probability."""
    saturation: float = option(0.0, later=True)
    """A crop is driven into tanh, by up to 20 dB, with this probability."""
    compression: float = option(0.0, later=True)
    """A crop is compressed, from 6 to 20 dB below its peak on, with this probability."""
    reverberation: float = option(0.0, later=True)
    """A crop gets a room of 0.15 to 1 s, 3 to 20 dB below itself, with this probability."""

    def __post_init__(self) -> None:
        for name in (*REMIXING, *EFFECTS):
            if not all(0 <= p <= 1 for p in np.atleast_1d(getattr(self, name))):
                raise UserError(f"--augment.{name} takes probabilities, got {getattr(self, name)}")
        if self.level_spread < 0:
            raise UserError(f"--augment.level-spread must not be negative, got {self.level_spread}")

    @property
    def effects(self) -> dict[str, float]:
        """The probability of every effect that is switched on, in a studio's order."""
        return {name: p for name in EFFECTS if (p := getattr(self, name))}


def augmented(
    clips: NDArray[np.float32], rng: np.random.Generator, augment: AugmentConfig, sample_rate: int
) -> NDArray[np.float32]:
    """Returns clips that sound otherwise, at another level. Shape: (N, C, T) -> (N, C, T)."""
    num = len(clips)
    changed = _with_effects(clips, rng, augment, sample_rate)
    decibel = rng.uniform(-augment.gain_db, augment.gain_db, num)
    if augment.level_spread:
        decibel += rng.normal(0, augment.level_spread, num)
    sign = np.where(rng.random(num) < 0.5 * augment.polarity, -1, 1)
    factor = sign * 10 ** (decibel / 20) * level_factors(changed, augment.level_lufs, sample_rate)
    swap = rng.random(num) < 0.5 * augment.channel_swap
    changed = np.where(swap[:, None, None], changed[:, ::-1], changed)
    return (changed * factor[:, None, None]).astype(np.float32)


def level_factors(clips: NDArray[np.float32], target: float | None, sample_rate: int) -> NDArray[np.float64]:
    """Returns what brings each audible clip to a loudness (LUFS); 1 for silence, and for a target of None.

    Shape: (N, C, T) -> (N,).
    """
    if target is None:
        return np.ones(len(clips))
    correction = target - crop_loudness(clips, sample_rate)
    return np.where(level_db(clips) > SILENCE_DB, 10 ** (correction / 20), 1.0)


def silenced(clips: NDArray[np.float32], rng: np.random.Generator, probability: float) -> NDArray[np.float32]:
    """Returns clips of which each is silent with a probability. Shape: (N, C, T) -> (N, C, T)."""
    return clips * (rng.random(len(clips)) >= probability).astype(np.float32)[:, None, None]


def limited(
    remix: NDArray[np.float32], rng: np.random.Generator, probability: float, sample_rate: int
) -> NDArray[np.float32]:
    """Returns remixes of which each goes through a limiter with a probability. All sources of an item get the
    gain curve of their sum, so that they add up to what a limiter would make of it; the scales of a mixture
    are taken to be equal.

    Shape: (N, K, C, T) -> (N, K, C, T).
    """
    for i in np.flatnonzero(rng.random(len(remix)) < probability):
        peak = np.abs(remix[i].sum(0)).max(0)
        threshold, attack, release = rng.uniform(-9, -1), rng.uniform(0.001, 0.01), rng.uniform(0.05, 0.4)
        remix[i] *= gain_curve(peak, sample_rate, threshold, attack, release)
    return remix


def _with_effects(
    clips: NDArray[np.float32], rng: np.random.Generator, augment: AugmentConfig, sample_rate: int
) -> NDArray[np.float32]:
    """Returns clips with effects, at their own levels: how loud they are in a mixture is drawn elsewhere."""
    chances = augment.effects
    if not chances:
        return clips
    chosen = rng.random((len(clips), len(chances))) < list(chances.values())
    changed = np.array(clips)
    for clip, use in zip(changed, chosen, strict=True):
        before = np.mean(clip**2)
        if not before:
            continue
        for name in np.array(list(chances))[use]:
            clip[:] = EFFECTS[name](clip, sample_rate, rng)
        clip *= np.sqrt(before / max(np.mean(clip**2), 1e-20))
    return changed
