"""Numpy audio gets other sample rates, channels and lengths, as whole arrays or as streams of blocks.

Resampling is libsoxr's at its very high quality. Its streams are linear-phase with the delay taken out, so
that a stream in blocks equals the whole array resampled at once, and its length is round(T * to_rate /
from_rate) (halves go up).
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import soxr
from numpy.typing import NDArray

Audio = NDArray[np.float32]
"""Samples, shape (C, T), full scale +-1."""

QUALITY = "VHQ"


def resample(audio: Audio, from_rate: int, to_rate: int) -> Audio:
    """Returns audio at another sample rate.

    Args:
        audio: (C, T).
        from_rate: Hz.
        to_rate: Hz.

    Returns:
        (C, round(T * to_rate / from_rate)).
    """
    if from_rate == to_rate:
        return audio
    return np.ascontiguousarray(soxr.resample(audio.T, from_rate, to_rate, quality=QUALITY).T)


def resample_blocks(blocks: Iterable[Audio], from_rate: int, to_rate: int) -> Iterator[Audio]:
    """Yields `resample` of a stream: (C, n) blocks come in, (C, n') blocks go out, in constant memory."""
    if from_rate == to_rate:
        yield from blocks
        return
    streams: list[soxr.ResampleStream] = []  # one per channel: one of all would interleave them, twice
    for block in blocks:
        streams = streams or [
            soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32", quality=QUALITY) for _ in block
        ]
        yield from _not_empty([s.resample_chunk(row) for s, row in zip(streams, block, strict=True)])
    yield from _not_empty([s.resample_chunk(np.zeros(0, np.float32), last=True) for s in streams])


def rechunk(blocks: Iterable[Audio], length: int) -> Iterator[Audio]:
    """Yields the same stream in pieces of another length: (C, n) blocks come in, (C, length) go out, the last
    one shorter. Pieces may be parts of the blocks that came in.

    Example:
        >>> [piece.tolist() for piece in rechunk([np.array([[1.0, 2.0, 3.0]]), np.array([[4.0]])], 2)]
        [[[1.0, 2.0]], [[3.0, 4.0]]]
    """
    held: list[Audio] = []
    wanted = length
    for block in blocks:
        while block.shape[1] >= wanted:
            piece = block[:, :wanted]
            yield np.concatenate([*held, piece], axis=1) if held else piece
            held, block, wanted = [], block[:, wanted:], length
        if block.shape[1]:
            held.append(block)
            wanted -= block.shape[1]
    if held:
        yield np.concatenate(held, axis=1)


def _not_empty(channels: Sequence[NDArray[np.float32]]) -> Iterator[Audio]:
    if channels and len(channels[0]):
        yield np.stack(channels)


def map_channels(audio: Audio, channels: int) -> Audio:
    """Returns audio with another number of channels: (..., C, T) -> (..., channels, T).

    One channel is the average of all; a single channel is repeated; else the first ``channels`` are kept, and
    missing ones are silent.

    Example:
        >>> map_channels(np.array([[1.0, 2.0], [3.0, 4.0]]), 1)
        array([[2., 3.]])
    """
    have = audio.shape[-2]
    if have == channels:
        return audio
    if channels == 1:
        return audio.mean(axis=-2, keepdims=True)
    if have == 1:
        return np.repeat(audio, channels, axis=-2)
    silent = [(0, 0)] * (audio.ndim - 2) + [(0, max(channels - have, 0)), (0, 0)]
    return np.pad(audio[..., :channels, :], silent)


def fit_length(audio: Audio, length: int) -> Audio:
    """Returns audio cut, or padded with silence at its end, to a length: (..., T) -> (..., length).

    Example:
        >>> fit_length(np.array([[1.0, 2.0]]), 3)
        array([[1., 2., 0.]])
    """
    missing = length - audio.shape[-1]
    if missing <= 0:
        return audio[..., :length]
    return np.pad(audio, [(0, 0)] * (audio.ndim - 1) + [(0, missing)])
