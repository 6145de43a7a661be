"""One sound file into stems, in constant memory at any length.

    file --decode--> mixture --+--> scratch (T samples)
                               +--> channels, rate --> overlap_add(model) --> rate, channels --> scratch
                               (about T)
    both scratch files --> stems + their share of the remainder --> gain --> encode

What is written for source k is a_k s_k, mapped back to the file's sample rate and channels, plus its share of
the remainder m - sum_k a_k s_k: what resampling and channel mapping lost. All of it goes to the source
``other``
where there is one, else it is split in equal parts. So the stems sum to the mixture, times one common gain
below 1
where the format clips and a stem is over full scale.
"""

import contextlib
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vsep_ray.ahead import ahead
from vsep_ray.audio import io
from vsep_ray.audio.dsp import Audio, fit_length, map_channels, resample_blocks
from vsep_ray.audio.formats import AudioError, check_format, libsndfile_subtype
from vsep_ray.chunking import overlap_add
from vsep_ray.inference import SeparateFn

LOWEST_DB = -200.0


@dataclass(frozen=True)
class Model:
    """What the stream needs of a separator.

    Attributes:
        separate: (B, C, T) mixture -> (B, K, C, T), the shares a_k s_k; on any device, results are fetched.
        sources: names of the K sources.
        sample_rate: Hz.
        channels: audio channels C.
    """

    separate: SeparateFn
    sources: tuple[str, ...]
    sample_rate: int
    channels: int


@dataclass(frozen=True)
class Chunking:
    """How the stream is cut for the model: samples per chunk, samples between chunks, chunks per forward
    pass."""

    chunk: int
    hop: int
    batch_size: int


@dataclass(frozen=True)
class Stems:
    """The mixture and its stems in raw float32 files on local disk, before the remainder is shared out.

    Attributes:
        folder: holds ``mixture`` (C, T) and ``sources`` (K * C, about T), both sample by sample.
        sources: names of the K sources.
        sample_rate: Hz, of the file that was read.
        channels: audio channels C of that file.
        length: its samples per channel T.
    """

    folder: Path
    sources: tuple[str, ...]
    sample_rate: int
    channels: int
    length: int

    def blocks(self) -> Iterator[tuple[Audio, Audio]]:
        """The final stems (K, C, n), which sum to the mixture, and the remainder (C, n) that they took up."""
        mixtures = _read_raw(self.folder / "mixture", self.channels)
        sources = _read_raw(self.folder / "sources", self.channels * len(self.sources))
        for mixture, flat in zip(mixtures, itertools.chain(sources, itertools.repeat(None))):  # noqa: B905
            stems = np.zeros((len(self.sources), *mixture.shape), np.float32)
            if flat is not None:
                stems += fit_length(flat, mixture.shape[1]).reshape(len(self.sources), self.channels, -1)
            remainder = mixture - stems.sum(axis=0)
            yield _share_out(stems, remainder, self.sources), remainder


@dataclass(frozen=True)
class Measures:
    """What the ledger records of the stems: see `vsep_ray.data.ledger.LedgerRow`."""

    peak: float
    gain: float
    remainder_db: float


def separate_file(uri: str, model: Model, chunking: Chunking, folder: Path, format: str) -> Stems:
    """Decode a file and separate it into raw scratch files below ``folder``; decoding and the model run in
    threads.

    Raises:
        AudioError: stage ``read``, ``decode``, ``format`` or ``separate``.
    """
    with contextlib.ExitStack() as stack:
        info, blocks = stack.enter_context(io.open_blocks(uri))
        check_format(info.sample_rate, info.channels, format)
        mixture = stack.enter_context(_RawWriter.create(folder / "mixture"))
        sources = stack.enter_context(_RawWriter.create(folder / "sources"))
        # closed in reverse order: no thread may read a file that is closed already
        decoded = stack.enter_context(ahead(_to_model(mixture.tee(blocks), info.sample_rate, model)))
        estimates = stack.enter_context(ahead(_estimates(decoded, model, chunking)))
        for block in _from_model(estimates, model, info.sample_rate, info.channels):
            sources.append(block)
    return Stems(folder, model.sources, info.sample_rate, info.channels, mixture.length)


def measure(stems: Stems, format: str, subtype: str) -> Measures:
    """Peak, power of the remainder, and the gain that keeps a format other than float from clipping."""
    peak = lost = power = 0.0
    for final, remainder in stems.blocks():
        peak = max(peak, float(np.abs(final).max()))
        lost += float(np.square(remainder, dtype=np.float64).sum())
        power += float(np.square(final.sum(axis=0), dtype=np.float64).sum())
    name = libsndfile_subtype(format, subtype)
    limit = {"FLOAT": math.inf, "PCM_16": 1 - 2**-15, "PCM_24": 1 - 2**-23}.get(name, 1.0)
    db = 10 * math.log10(lost / power) if lost > 0 and power > 0 else LOWEST_DB
    return Measures(peak, min(1.0, limit / peak) if peak > 0 else 1.0, max(db, LOWEST_DB))


def encode(
    stems: Stems,
    gain: float,
    paths: Sequence[Path],
    format: str,
    subtype: str,
    tags: Sequence[Mapping[str, str]],
) -> None:
    """Write the final stems, times ``gain``, to one local sound file each, side by side in threads.

    Raises:
        AudioError: stage ``encode``.
    """
    with contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(
                io.open_writer(p, stems.sample_rate, stems.channels, format=format, subtype=subtype, tags=t)
            )
            for p, t in zip(paths, tags, strict=True)
        ]
        pool = stack.enter_context(ThreadPoolExecutor(len(writers)))
        for final, _ in stems.blocks():
            scaled = final * np.float32(gain)
            list(pool.map(lambda write, audio: write(audio), writers, scaled))


def _to_model(blocks: Iterable[Audio], sample_rate: int, model: Model) -> Iterator[Tensor]:
    mapped = (map_channels(block, model.channels) for block in blocks)
    return map(torch.from_numpy, resample_blocks(mapped, sample_rate, model.sample_rate))


def _estimates(blocks: Iterable[Tensor], model: Model, chunking: Chunking) -> Iterator[Audio]:
    grid = {"chunk": chunking.chunk, "hop": chunking.hop, "batch_size": chunking.batch_size}
    for block in overlap_add(_checked(model.separate), blocks, **grid):
        yield np.ascontiguousarray(block.flatten(0, 1).numpy(), np.float32)


def _checked(separate: SeparateFn) -> SeparateFn:
    def call(mixture: Tensor) -> Tensor:
        sources = separate(mixture)
        if not torch.isfinite(sources).all():
            raise AudioError("separate", "the model returned samples that are not finite (NaN or infinite)")
        return sources

    return call


def _from_model(estimates: Iterable[Audio], model: Model, sample_rate: int, channels: int) -> Iterator[Audio]:
    for flat in resample_blocks(estimates, model.sample_rate, sample_rate):
        stems = flat.reshape(len(model.sources), model.channels, -1)
        yield map_channels(stems, channels).reshape(len(model.sources) * channels, -1)


def _share_out(stems: Audio, remainder: Audio, sources: Sequence[str]) -> Audio:
    if "other" in sources:
        stems[sources.index("other")] += remainder
    else:
        stems += remainder / np.float32(len(sources))
    return stems


class _RawWriter:
    """Appends (rows, n) blocks to a file of float32 frames."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write, self.length = write, 0

    @classmethod
    @contextlib.contextmanager
    def create(cls, path: Path) -> Iterator["_RawWriter"]:
        with path.open("wb") as file:
            yield cls(file.write)

    def append(self, block: Audio) -> None:
        self._write(np.ascontiguousarray(block.T).tobytes())
        self.length += block.shape[1]

    def tee(self, blocks: Iterable[Audio]) -> Iterator[Audio]:
        for block in blocks:
            self.append(block)
            yield block


def _read_raw(path: Path, rows: int) -> Iterator[Audio]:
    with path.open("rb") as file:
        while (flat := np.fromfile(file, np.float32, io.BLOCK * rows)).size:
            yield flat.reshape(-1, rows).T
