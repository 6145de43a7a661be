"""Separated stems -> sound files, under one common gain, that still sum to the mixture."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vsep_ray.audio import io
from vsep_ray.audio.dsp import Audio
from vsep_ray.audio.formats import libsndfile_subtype
from vsep_ray.streaming.stream import Stems

BITS = {"PCM_16": 16, "PCM_24": 24}


def gain(stems: Stems, format: str, subtype: str) -> float:
    """The common factor that keeps the stems within full scale; 1 for floats, which have no such limit."""
    name = libsndfile_subtype(format, subtype)
    if name == "FLOAT":
        return 1.0
    for _ in stems.blocks():  # a pass over all of them, for their peak
        pass
    limit = 1 - 2.0 ** (1 - BITS[name]) if name in BITS else 1.0
    return min(1.0, limit / stems.peak) if stems.peak > 0 else 1.0


def encode(
    stems: Stems,
    factor: float,
    paths: Sequence[Path],
    format: str,
    subtype: str,
    tags: Sequence[Mapping[str, str]],
) -> None:
    """Write the stems, times ``factor``, to one local sound file each, side by side in threads.

    Integers are rounded to sum to the rounded mixture, where the stems make up all of it: the error of
    rounding goes to the selection's absorber, and where that would clip to the next stem.

    Raises:
        AudioError: stage ``encode``.
    """
    bits = BITS.get(libsndfile_subtype(format, subtype))
    size = {"format": format, "subtype": subtype, "length": stems.length}
    with contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(io.open_writer(p, stems.sample_rate, stems.channels, tags=t, **size))  # type: ignore[arg-type]
            for p, t in zip(paths, tags, strict=True)
        ]
        pool = stack.enter_context(ThreadPoolExecutor(len(writers)))
        for block in _rounded(stems, factor, bits) if bits else _scaled(stems, factor):
            list(pool.map(lambda write, audio: write(audio), writers, block))


def _scaled(stems: Stems, factor: float) -> Iterator[Audio]:
    for audio, _ in stems.blocks():
        yield audio if factor == 1 else audio * np.float32(factor)


def _rounded(stems: Stems, factor: float, bits: int) -> Iterator[NDArray[np.int32]]:
    order = np.roll(np.arange(len(stems.selection.stems)), -stems.selection.absorber)
    for audio, mixture in stems.blocks():
        samples = _integers(audio, factor, bits)
        if stems.selection.complete:
            _spread(_integers(mixture, factor, bits) - samples.sum(axis=0), samples, order, bits)
        yield samples << (32 - bits)


def _integers(audio: Audio, factor: float, bits: int) -> NDArray[np.int32]:
    return np.rint(audio * np.float64(factor * 2 ** (bits - 1))).astype(np.int32)


def _spread(missing: NDArray[np.int32], samples: NDArray[np.int32], order: NDArray, bits: int) -> None:
    """Add what is missing of the sum to the first stem in order that has room for it, in place."""
    top = 2 ** (bits - 1)
    for j in order:
        wanted = samples[j] + missing
        samples[j] = np.clip(wanted, -top, top - 1)
        missing = wanted - samples[j]
        if not missing.any():
            return
