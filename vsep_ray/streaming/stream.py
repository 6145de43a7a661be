"""Sound files become stems, through one model, in constant memory at any length.

    file 1, file 2, ...  --decode--> mixture --+--> scratch                                     (thread 1 *)
                                               +--> channels, rate --> chunks
    chunks of file 1, file 2, ... --> full batches --> model                                    (thread 2 *)
    overlap-add --> shares at the model's rate and channels --> scratch                    (the caller's)
    scratch --> rate, channels --> stems = shares + their part of the remainder            (`Stems.blocks`)

* or the caller's, where there is nothing to wait for meanwhile: no GPU, and no file that has to be fetched.

The model's share of source k is a_k s_k; the remainder m - sum_k a_k s_k is what resampling and channel
mapping lost. `Selection` says who gets it, so that the stems sum to the mixture. Batches fill across chunks
and, where files are short, across files; what comes out of a file does not depend on its neighbours, if
the model gives a chunk the same bits in every place of a batch (`vsep_ray.chunking.places_are_equal`).
"""

import contextlib
import itertools
import math
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vsep_ray.audio import io
from vsep_ray.audio.formats import AudioError, AudioInfo, Failure, check_format
from vsep_ray.audio.resampling import Audio, fit_length, map_channels, rechunk, resample_blocks
from vsep_ray.chunking import chunks_of, separate_chunks, stitched
from vsep_ray.inference import SeparateFn
from vsep_ray.parallel.prefetch import ahead
from vsep_ray.streaming.scratch import Scratch
from vsep_ray.streaming.selection import Selection

LOWEST_DB, HIGHEST_DB = -200.0, 200.0


@dataclass(frozen=True)
class Model:
    """A model is what the stream needs of a separator.

    Attributes:
        separate: (B, C, T) mixture -> (B, K, C, T), the shares a_k s_k; or (B, K + J, C, T), below them the
            posterior variances of the J stems. It may answer on any device.
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
    """A stream is cut into chunks of ``chunk`` samples every ``hop``; a batch is one forward pass."""

    chunk: int
    hop: int
    batch_size: int


class Stems:
    """The stems of a file wait to be encoded: the mixture, and the model's shares at its rate and channels.

    Attributes:
        selection: says which stems there are.
        sample_rate, channels: of the file.
        tags: title, artist and the like, as the file has them.
        peak: largest absolute sample (1 is full scale) of all stems in the blocks that `blocks` has given.
        remainder_db: power of the remainder relative to the mixture's, dB, known after a pass over `blocks`.
        confidence_db: per stem, power over posterior variance: the SDR (dB) that the model expects of itself;
            empty where no variance was asked for.
    """

    def __init__(self, selection: Selection, model: Model, info: AudioInfo) -> None:
        self.selection, self.model = selection, model
        self.sample_rate, self.channels, self.tags = info.sample_rate, info.channels, info.tags
        self.mixture, self.shares = Scratch(), Scratch()
        self.peak, self.remainder_db = 0.0, LOWEST_DB
        self.confidence_db: tuple[float, ...] = ()

    @property
    def length(self) -> int:
        """Samples per channel."""
        return self.mixture.length

    def blocks(self) -> Iterator[tuple[Audio, Audio]]:
        """Yields the stems (J, C, n) and the mixture (C, n), block by block, as often as asked for."""
        self.peak = lost = power = 0.0
        shares = self._mapped_back()
        for mixture in self.mixture:
            estimate = fit_length(next(shares), mixture.shape[1])
            stems, remainder = self.selection.apply(estimate, mixture)
            self.peak = max(self.peak, float(stems.max(initial=0.0)), -float(stems.min(initial=0.0)))
            lost += float(np.vdot(remainder, remainder))
            power += float(np.vdot(mixture, mixture))
            yield stems, mixture
        self.remainder_db = _db(lost, power)

    def close(self) -> None:
        """Gives the disk space back."""
        self.mixture.close()
        self.shares.close()

    def _mapped_back(self) -> Iterator[Audio]:
        """Yields shares at the file's rate, in blocks of the mixture's length: (K, C, n), or (K, 1, n)."""
        resampled = resample_blocks(self.shares, self.model.sample_rate, self.sample_rate)
        for block in rechunk(resampled, io.BLOCK):
            shares = block.reshape(-1, self.model.channels, block.shape[1])
            yield shares if self.model.channels == 1 else map_channels(shares, self.channels)
        while True:  # resampling there and back may cost samples at the end
            yield np.zeros((len(self.selection.sources), 1, 0), np.float32)


def separate_files(
    uris: Sequence[str],
    model: Model,
    chunking: Chunking,
    selection: Selection,
    format: str,
    *,
    span: bool = True,
    threaded: bool = True,
) -> Generator[Stems | Failure, None, None]:
    """Separates files one after the other and yields for each its stems, or what is wrong with it.

    Args:
        uris: the files.
        model, chunking: what separates, and in which pieces.
        selection: which stems.
        format: that the stems will be written in; a file that it cannot hold is refused before work.
        span: whether batches may hold chunks of several files.
        threaded: whether decoding, the model and the rest are done side by side; see `prefetch.crew`.

    Raises:
        OSError: there is no disk space.
        Exception: the model raises it; the files that have not come out then are all to be done again.
    """
    # chunks are decoded, and separated, before they are wanted, or each when it is
    beside: Any = ahead if threaded else contextlib.closing
    with contextlib.ExitStack() as stack:
        # closed in reverse order: no thread may read a file that is closed already
        chunks = stack.enter_context(beside(_read_files(uris, model, chunking, selection, format)))
        results = separate_chunks(model.separate, chunks, chunking.chunk, chunking.batch_size, span=span)
        separated = stack.enter_context(beside(results))
        for file, items in itertools.groupby(separated, key=lambda item: item[0]):
            yield _finish(file, (item for _, item in items), chunking, selection)


class _File:
    """A file on its way: nothing is known of it until it is opened, nothing is wanted once it has failed."""

    stems: Stems | None = None
    failure: Failure | None = None


def _read_files(
    uris: Sequence[str], model: Model, chunking: Chunking, selection: Selection, format: str
) -> Iterator[tuple[_File, Tensor | Failure | None]]:
    """Yields the chunks of all files; after the last of each None, or what is wrong with the file."""
    for uri in uris:
        file, end = _File(), None
        try:
            with io.open_blocks(uri) as (info, blocks):
                end = check_format(info.sample_rate, info.channels, format)
                if end is None:
                    file.stems = Stems(selection, model, info)
                    mixture = file.stems.mixture.tee(rechunk(blocks, io.BLOCK))
                    for chunk in _chunks(mixture, info.sample_rate, model, chunking):
                        yield file, chunk
                        if file.failure:
                            break
        except AudioError as error:
            end = error.failure
        yield file, end


def _chunks(mixture: Iterable[Audio], sample_rate: int, model: Model, chunking: Chunking) -> Iterator[Tensor]:
    """Returns the chunks of a mixture (C, n) at the model's rate and channels."""
    mapped = (map_channels(block, model.channels) for block in mixture)
    resampled = resample_blocks(mapped, sample_rate, model.sample_rate)
    return chunks_of(map(torch.from_numpy, resampled), chunking.chunk, chunking.hop)


def _finish(
    file: _File, items: Iterator[Tensor | Failure | None], chunking: Chunking, selection: Selection
) -> Stems | Failure:
    """Returns the stems of a file from its separated chunks, or what it failed with, its disk space free."""
    doubt = _Doubt(selection)
    for block in stitched(doubt.split(_until_end(file, items)), chunking.chunk, chunking.hop):
        assert file.stems
        file.stems.shares.append(block.flatten(0, 1).numpy())
    if file.failure:
        for _ in items:  # until the file's reader has seen that: it must not write to what is closed
            pass
        if file.stems:
            file.stems.close()
        return file.failure
    assert file.stems
    file.stems.confidence_db = doubt.confidence_db()
    return file.stems


def _until_end(file: _File, items: Iterable[Tensor | Failure | None]) -> Iterator[Tensor]:
    """Yields the chunks of a file up to its end, or up to its failure, which the file is told."""
    for item in items:
        # the sum is quick, and may overflow
        if isinstance(item, Tensor) and not (item.sum().isfinite() or item.isfinite().all()):
            item = Failure("separate", "the model returned samples that are not finite (NaN or infinite)")
        if not isinstance(item, Tensor):
            file.failure = item
            return
        yield item


class _Doubt:
    """The power of the stems and of their posterior variance is summed over the chunks (overlaps twice)."""

    def __init__(self, selection: Selection) -> None:
        self.matrix, self.is_known = torch.from_numpy(selection.matrix), False
        self.powers = torch.zeros(2, len(selection.stems), dtype=torch.float64)

    def split(self, items: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yields the shares (K, C, n) of items (K, C, n) or (K + J, C, n)."""
        sources = self.matrix.shape[1]
        for item in items:
            shares, variance = item[:sources], item[sources:]
            if len(variance):
                stems = torch.einsum("jk,kct->jct", self.matrix, shares)
                squares = (stems.double().square(), variance.double())
                self.powers += torch.stack([values.sum((1, 2)) for values in squares])
                self.is_known = True
            yield shares

    def confidence_db(self) -> tuple[float, ...]:
        return tuple(map(_db, *self.powers.tolist())) if self.is_known else ()


def _db(power: float, reference: float) -> float:
    """Returns 10 log10(power / reference), within +-200 dB; 0 / 0 counts as -200."""
    if power <= 0:
        return LOWEST_DB
    return min(HIGHEST_DB, max(LOWEST_DB, 10 * math.log10(power / reference))) if reference else HIGHEST_DB
