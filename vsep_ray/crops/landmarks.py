"""Recordings are known again by landmarks: pairs of peaks of their spectrograms.

A. Wang, "An industrial-strength audio search algorithm" (ISMIR 2003): a peak is louder than all around it in
time and frequency, so that level, codec and resampling hardly move it. The word of a pair is its lower time's
frequency, the step to the other's and the time between; two recordings are one where many words are the same
at one shift in time. Parameters and their rates of error are in the README of this room.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

RATE = 16_000
"""Recordings are compared at this sample rate (Hz), at which windows have lengths that transform fast."""
WINDOW, HOP = 2_048, 512
"""Samples of a window of the spectrogram, and between the starts of two."""
LOWEST_HZ, HIGHEST_HZ = 40.0, 3_600.0
NEAR_FRAMES, NEAR_BINS = 7, 10
"""A peak is the loudest of so many frames and bins to each side."""
PEAKS, PEAKS_FRAMES = 16, 62
"""Of so many frames (2 s) the loudest peaks are kept, this number."""
RANGE_DB = 50.0
"""A peak lies no further than this below the loudest of its recording."""
FAN_OUT = 6
"""A peak is paired with this number of those that follow it."""
FEWEST_FRAMES, MOST_FRAMES, MOST_BINS = 2, 63, 127
"""The peaks of a pair are so far apart."""
FEWEST_WORDS, FEWEST_SHARE = 12, 0.08
"""Two recordings are one where so many words agree, and this share of the words of the one that has fewer."""
FRAMES_AT_ONCE = 256


@dataclass(frozen=True)
class Landmarks:
    """A recording is known by these.

    Attributes:
        words: uint32 (N,), a pair of peaks each.
        frames: int32 (N,), when the first of the two is, in hops.
    """

    words: NDArray[np.uint32]
    frames: NDArray[np.int32]


NOTHING = Landmarks(np.zeros(0, np.uint32), np.zeros(0, np.int32))


@dataclass(frozen=True)
class Likeness:
    """Two recordings are one: their places in two lists, how many words agree, and the share of them."""

    one: int
    other: int
    words: int
    share: float


def landmarks(audio: NDArray[np.floating], sample_rate: int) -> Landmarks:
    """Returns the landmarks of mono audio (T,); none of what is shorter than a window."""
    levels = _levels(soxr.resample(audio, sample_rate, RATE, "LQ") if sample_rate != RATE else audio)
    if not levels.size or levels.max() == levels.min():
        return NOTHING
    peaks = _peaks(levels)
    frame, place = np.append(peaks, [[-1, -1]], axis=0).T  # the last stands for no peak
    first = np.arange(len(peaks))[:, None]
    second = np.minimum(first + np.arange(1, 6 * FAN_OUT), len(peaks))
    apart, step = frame[second] - frame[first], place[second] - place[first]
    paired = (apart >= FEWEST_FRAMES) & (apart <= MOST_FRAMES) & (np.abs(step) <= MOST_BINS)
    paired &= np.cumsum(paired, axis=1) <= FAN_OUT
    words = (place[first] << 14) | ((step + MOST_BINS + 1) << 6) | apart
    frames = np.broadcast_to(frame[first], words.shape)
    return Landmarks(words[paired].astype(np.uint32), frames[paired].astype(np.int32))


def _levels(audio: NDArray[np.floating]) -> NDArray[np.float32]:
    """Returns the spectrogram (frames, bins) in dB; the bins are those of a window, from `LOWEST_HZ` on."""
    if len(audio) < WINDOW:
        return np.zeros((0, 0), np.float32)
    low, high = (round(f * WINDOW / RATE) for f in (LOWEST_HZ, HIGHEST_HZ))
    frames = np.lib.stride_tricks.sliding_window_view(audio, WINDOW)[::HOP]
    window = np.hanning(WINDOW).astype(np.float32)
    blocks = np.split(frames, range(FRAMES_AT_ONCE, len(frames), FRAMES_AT_ONCE))
    levels = [np.abs(np.fft.rfft(b * window)[:, low:high]).astype(np.float32) for b in blocks]
    return 20 * np.log10(np.concatenate(levels) + np.float32(1e-6))


def _peaks(levels: NDArray[np.float32]) -> NDArray[np.int64]:
    """Returns frame and bin (N, 2) of the peaks, in the order of time."""
    around = maximum_filter(levels, (2 * NEAR_FRAMES + 1, 2 * NEAR_BINS + 1))
    found = np.argwhere((levels == around) & (levels > levels.max() - RANGE_DB))
    block = found[:, 0] // PEAKS_FRAMES
    order = np.lexsort((-levels[tuple(found.T)], block))
    rank = np.arange(len(order)) - np.searchsorted(block[order], block[order])
    return found[np.sort(order[rank < PEAKS])]


def likenesses(ones: Sequence[Landmarks], others: Sequence[Landmarks]) -> list[Likeness]:
    """Returns which recordings of one list are in the other, by an inverted index of the other's words."""
    if not others:
        return []
    words, frames = (np.concatenate([getattr(m, n) for m in others]) for n in ("words", "frames"))
    owners = np.repeat(np.arange(len(others)), [len(m.words) for m in others])
    order = np.argsort(words, kind="stable")
    index = words[order], frames[order], owners[order]
    sizes = np.array([len(m.words) for m in others])
    return [like for i, one in enumerate(ones) for like in _alike(i, one, sizes, *index)]


def _alike(
    number: int,
    one: Landmarks,
    sizes: NDArray[np.int64],
    words: NDArray[np.uint32],
    frames: NDArray[np.int32],
    owners: NDArray[np.int64],
) -> list[Likeness]:
    """Returns which of the indexed recordings are the one: those that share enough words at one shift."""
    low, high = (np.searchsorted(words, one.words, side) for side in ("left", "right"))
    count = high - low
    mine = np.repeat(np.arange(len(count)), count)
    theirs = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count - low, count)
    shift = frames[theirs].astype(np.int64) - one.frames[mine] + (1 << 31)
    found, agreeing = np.unique((owners[theirs] << 32) | shift, return_counts=True)
    neighbours = np.append(np.diff(found) == 1, False)  # a shift between two frames is seen at both
    agreeing = agreeing + np.where(neighbours, np.append(agreeing[1:], 0), 0)
    most = np.zeros(len(sizes), np.int64)
    np.maximum.at(most, found >> 32, agreeing)
    share = most / np.maximum(1, np.minimum(sizes, len(one.words)))
    same = np.flatnonzero((most >= FEWEST_WORDS) & (share >= FEWEST_SHARE))
    return [Likeness(number, int(k), int(most[k]), float(share[k])) for k in same]
