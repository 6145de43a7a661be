"""Separation of any length in constant memory: blocks -> overlapping chunks -> model -> cross-faded blocks.

Chunk i covers the samples [i * hop, i * hop + chunk); there are as many as it takes to cover the track, and
only the last may be shorter. With chunk = 6, hop = 4, T = 13 (overlap = chunk - hop = 2):

    sample      0  1  2  3  4  5  6  7  8  9 10 11 12
    chunk 0     [---------------]                          6 samples, weights 1 2 3 3 2 1
    chunk 1                 [---------------]              6 samples, weights 1 2 3 3 2 1
    chunk 2                             [------------]     5 samples, weights 1 2 3 3 2
    sum of weights
                1  2  3  3  3  3  3  3  3  3  3  3  2
    output      |<- final -->|  after chunk 0: its first hop samples will get no more weight
                             |<- final -->|  after chunk 1
                                          |<- rest -->|

The weights w_n = min(n + 1, chunk - n, overlap + 1) rise and fall linearly over the overlap and are positive
everywhere; dividing by their sum makes them one at every sample, for any 1 <= hop <= chunk. Nothing here
knows of models or files.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from vsep_ray.inference import SeparateFn

CHUNK_SECONDS = 6.0
"""A chunk has this number of seconds of audio, where nobody asks for another."""
OVERLAP = 0.25
"""This fraction of a chunk is cross-faded with its neighbour, where nobody asks for another."""
BATCH_SIZE = 1
"""A forward pass on a CPU has this number of chunks, where nobody asks for another."""
K = TypeVar("K")
M = TypeVar("M")


def overlap_add(
    separate: SeparateFn, blocks: Iterable[Tensor], *, chunk: int, hop: int, batch_size: int = 1
) -> Iterator[Tensor]:
    """Separates a stream: blocks (C, n) of the mixture come in, blocks (K, C, n) of the sources go out, as
    long in total.

    Args:
        separate: (B, C, chunk) -> (B, K, C, chunk), on any device; blocks are moved by it.
        blocks: (C, n) each, any n.
        chunk: samples per forward pass.
        hop: samples between the starts of chunks, 1 <= hop <= chunk.
        batch_size: chunks per forward pass B.
    """
    chunks = ((None, c) for c in chunks_of(blocks, chunk, hop))
    sources = (s for _, s in separate_chunks(separate, chunks, chunk, batch_size))
    return stitched(sources, chunk, hop)


def separate_chunks(
    separate: SeparateFn,
    items: Iterable[tuple[K, Tensor | M]],
    length: int,
    batch_size: int,
    *,
    span: bool = True,
) -> Iterator[tuple[K, Tensor | M]]:
    """Separates the chunks of one stream, or of many one after the other, in full batches. ``(key, chunk)``
    comes in and ``(key, sources)`` goes out, in the same order. What is not a chunk, such as the end of a
    stream, passes through in its place; without ``span`` no batch reaches beyond it.

    While a GPU separates a batch, the items of the one before it come out.

    ``separate`` always sees (batch_size, C, length): a short chunk is padded with silence and the last batch
    with silent chunks, so that a chunk's result does not depend on what it shares a batch with.
    """
    before: Iterator[tuple[K, Tensor | M]] = iter(())
    for group in _groups(items, batch_size, span):
        batch, is_waited_for = _started(separate, group, length, batch_size)
        yield from before
        before = batch
        if not is_waited_for:
            yield from before
    yield from before


def places_are_equal(separate: SeparateFn, channels: int, length: int, batch_size: int) -> bool:
    """Returns whether a chunk gives the same bits in every place of a batch; it is tried on noise.

    Vectorised kernels treat the end of an array by other instructions than its middle, so that some networks
    at some chunk lengths give results that differ by a rounding error from place to place.
    """
    noise = torch.randn(2, 1, channels, length, generator=torch.Generator().manual_seed(0))
    return all(
        torch.equal(sources, sources[:1].expand_as(sources))
        for sources in (separate(x.expand(batch_size, -1, -1).contiguous()).cpu() for x in noise)
    )


def chunks_of(blocks: Iterable[Tensor], chunk: int, hop: int) -> Iterator[Tensor]:
    """Cuts blocks (..., n) into chunks (..., chunk), the last one (..., n) with 0 < n <= chunk. It holds less
    than one chunk and one block.
    """
    assert 1 <= hop <= chunk, (chunk, hop)
    held = None
    for block in blocks:
        held = block if held is None else torch.cat([held, block], dim=-1)
        while held.shape[-1] > chunk:  # more follows, so this chunk is not the last
            yield held[..., :chunk]
            held = held[..., hop:]
    if held is not None and held.shape[-1]:
        yield held


def stitched(chunks: Iterable[Tensor], chunk: int, hop: int) -> Iterator[Tensor]:
    """Cross-fades chunks (..., chunk), the last one possibly shorter, into blocks (..., n). It holds less
    than two chunks.
    """
    weights = fade(chunk, hop)
    held, total = None, weights  # weighted sum of the signals, and sum of the weights
    for signal in chunks:
        w = weights[: signal.shape[-1]].to(signal)
        new = signal * w
        if held is not None:
            yield held[..., :hop] / total[:hop]
            new, w = _add(held[..., hop:], new), _add(total[hop:], w)
        held, total = new, w
    if held is not None:
        yield held / total


def fade(chunk: int, hop: int) -> Tensor:
    """Returns the cross-fade weights w_n = min(n + 1, chunk - n, chunk - hop + 1), shape (chunk,).

    Example:
        >>> fade(6, 4).tolist()
        [1.0, 2.0, 3.0, 3.0, 2.0, 1.0]
    """
    n = torch.arange(chunk)
    return torch.minimum(n + 1, chunk - n).clamp(max=chunk - hop + 1).float()


def _add(held: Tensor, new: Tensor) -> Tensor:
    """Returns the sum of two signals that start together, as long as the longer."""
    short, long = sorted((held, new), key=lambda signal: signal.shape[-1])
    n = short.shape[-1]
    return torch.cat([short + long[..., :n], long[..., n:]], dim=-1)


def _groups(
    items: Iterable[tuple[K, Tensor | M]], batch_size: int, span: bool
) -> Iterator[list[tuple[K, Tensor | M]]]:
    """Yields the items in lists of a batch's chunks each, and of what comes between them."""
    held: list[tuple[K, Tensor | M]] = []
    waiting = 0
    for key, item in items:
        held.append((key, item))
        waiting += isinstance(item, Tensor)
        if waiting in (0, batch_size) or not (span or isinstance(item, Tensor)):
            yield held
            held, waiting = [], 0
    if held:
        yield held


def _started(
    separate: SeparateFn, items: list[tuple[K, Tensor | M]], length: int, batch_size: int
) -> tuple[Iterator[tuple[K, Tensor | M]], bool]:
    """Starts to separate the chunks among some items, and returns the items with their sources, and whether a
    GPU still works on these while others can be prepared, or used.
    """
    chunks = [item for _, item in items if isinstance(item, Tensor)]
    wait, is_waited_for = (
        arriving(_forward(separate, chunks, length, batch_size)) if chunks else (list, False)
    )

    def finished() -> Iterator[tuple[K, Tensor | M]]:
        results: Iterator[Tensor] = iter(wait())
        for key, item in items:
            yield key, next(results)[..., : item.shape[-1]] if isinstance(item, Tensor) else item

    return finished(), is_waited_for


def arriving(x: Tensor) -> tuple[Callable[[], Tensor], bool]:
    """Returns what waits for a tensor on the CPU, and whether there is anything to wait for.

    From a GPU it is copied into page-locked memory, in turn with the GPU's work but beside the caller's.
    """
    if not x.is_cuda:
        return lambda: x.cpu(), False
    copy, copied = x.to("cpu", non_blocking=True), torch.cuda.Event()
    copied.record(torch.cuda.current_stream(x.device))

    def wait() -> Tensor:
        copied.synchronize()
        return copy

    return wait, True


def _forward(separate: SeparateFn, chunks: list[Tensor], length: int, batch_size: int) -> Tensor:
    mixture = torch.stack([F.pad(c, (0, length - c.shape[-1])) for c in chunks])
    sources = separate(F.pad(mixture, (0, 0, 0, 0, 0, batch_size - len(chunks))))
    assert sources.shape[0] == batch_size and sources.shape[-1] == length, sources.shape
    return sources
