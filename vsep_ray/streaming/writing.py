"""Separated stems become sound files, under one common gain, that still sum to the mixture."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsep_ray.audio import io
from vsep_ray.audio.formats import BITS, libsndfile_subtype
from vsep_ray.audio.resampling import Audio
from vsep_ray.parallel.prefetch import crew
from vsep_ray.streaming.selection import Selection
from vsep_ray.streaming.stream import Stems

Writer = contextlib.AbstractContextManager[Callable[[Audio | NDArray[np.int32]], None]]


def encode(
    stems: Stems,
    paths: Sequence[Path],
    format: str,
    subtype: str,
    tags: Sequence[Mapping[str, str]],
    *,
    threaded: bool = True,
) -> float:
    """Writes the stems to one local sound file each, side by side where ``threaded``.

    Integers are rounded to sum to the rounded mixture, where the stems make up all of it: the error of
    rounding goes to the selection's absorber, and where that would clip to the next stem.

    Returns:
        The common gain that all stems were written with: 1, unless they exceed the format's full scale.

    Raises:
        AudioError: stage ``encode``.
    """
    name = libsndfile_subtype(format, subtype)
    size: dict[str, Any] = {"format": format, "subtype": subtype, "length": stems.length}
    factor, ceiling = 1.0, full_scale(name)
    with crew(len(paths) if threaded else 0) as pool:
        while True:
            writers = [
                io.open_writer(path, stems.sample_rate, stems.channels, tags=own, **size)
                for path, own in zip(paths, tags, strict=True)
            ]
            if _write(stems, factor, ceiling, BITS.get(name), writers, pool):
                return factor
            factor, ceiling = full_scale(name) / stems.peak, stems.peak


def full_scale(subtype: str) -> float:
    """Returns the largest sample that is not clipped, by libsndfile's name of a sample format; floats have no
    such limit.
    """
    if subtype == "FLOAT":
        return float("inf")
    return 1 - 2.0 ** (1 - BITS[subtype]) if subtype in BITS else 1.0


def _write(
    stems: Stems, factor: float, ceiling: float, bits: int | None, writers: Sequence[Writer], pool: Executor
) -> bool:
    """Writes the stems times ``factor``. Returns False if a sample exceeded the ceiling: then the stems are
    not all there, and only their peak is known.
    """
    with contextlib.ExitStack() as stack:
        appends = [stack.enter_context(writer) for writer in writers]
        for audio, mixture in stems.blocks():
            if stems.peak <= ceiling:
                block = _samples(audio, mixture, stems.selection, factor, bits)
                list(pool.map(lambda append, stem: append(stem), appends, block))
    return stems.peak <= ceiling


def _samples(
    audio: Audio, mixture: Audio, selection: Selection, factor: float, bits: int | None
) -> Audio | NDArray[np.int32]:
    """Returns the stems times ``factor``, as integers in the upper bits where the format has ``bits``."""
    if not bits:
        return audio if factor == 1 else audio * np.float32(factor)
    if selection.complete:
        samples = _round_to_sum(audio, mixture, selection.absorber, factor, bits)
    else:
        samples = _rounded(audio, factor, bits).astype(np.int32)
    samples <<= 32 - bits
    return samples


def _round_to_sum(audio: Audio, mixture: Audio, absorber: int, factor: float, bits: int) -> NDArray[np.int32]:
    """Returns integers that sum to the rounded mixture: the absorber is what the others leave of it."""
    order = np.roll(np.arange(len(audio)), -absorber)
    missing = _rounded(mixture, factor, bits).astype(np.int32)
    samples = np.zeros(audio.shape, np.int32)
    for j in order[1:]:
        samples[j] = _rounded(audio[j], factor, bits)
        missing -= samples[j]
    _spread(missing, samples, order, bits)
    return samples


def _rounded(audio: Audio, factor: float, bits: int) -> NDArray[np.floating]:
    # by a power of two float32 multiplies exactly, and twice as fast
    scaled = audio * (np.float32 if factor == 1 else np.float64)(factor * 2 ** (bits - 1))
    return np.rint(scaled, out=scaled)


def _spread(missing: NDArray[np.int32], samples: NDArray[np.int32], order: NDArray, bits: int) -> None:
    """Adds what is missing of the sum to the first stem in order that has room for it, in place."""
    top = 2 ** (bits - 1)
    for j in order:
        wanted = samples[j] + missing
        samples[j] = np.clip(wanted, -top, top - 1)
        missing = wanted - samples[j]
        if not missing.any():
            return
