"""A separator becomes a stream's model: it says what is computed of a chunk, and the grid of the chunks."""

from collections.abc import Iterator
from dataclasses import replace

import torch

from vsep_ray.chunking import BATCH_SIZE, places_are_equal
from vsep_ray.inference import amortized, amortized_with_variance
from vsep_ray.nn.precision import Precision, computing
from vsep_ray.separators import Separator
from vsep_ray.streaming.selection import Selection
from vsep_ray.streaming.stream import Chunking, Model

SHORTEST = 4
"""A chunk may be halved this often when memory runs out."""


def stream_model(
    separator: Separator,
    selection: Selection,
    samples: int,
    device: torch.device,
    precision: Precision = "auto",
) -> Model:
    """Returns a separator as a model: its shares, and with ``samples`` draws the stems' variances."""
    separator = separator.to(device)
    matrix = torch.from_numpy(selection.matrix).to(device)

    def separate(mixture: torch.Tensor) -> torch.Tensor:
        mixture = mixture.to(device)
        with computing(precision, device):
            if not samples:
                return separator.mixing.shares(amortized(mixture, separator=separator))
            drawn = amortized_with_variance(mixture, separator=separator, samples=samples, matrix=matrix)
            return torch.cat(drawn, 1)

    return Model(separate, separator.sources, separator.sample_rate, separator.channels)


def chunking(separator: Separator, chunk_seconds: float, overlap: float, batch_size: int) -> Chunking:
    """Returns the grid in samples of the model's rate; chunks are rounded up to the model's multiple. A
    batch size of 0 is the default.
    """
    multiple = separator.multiple
    chunk = -(-round(chunk_seconds * separator.sample_rate) // multiple) * multiple
    return Chunking(chunk, max(1, chunk - round(chunk * overlap)), batch_size or BATCH_SIZE)


def may_span(model: Model, grid: Chunking) -> bool:
    """Returns whether batches may hold chunks of several tracks: a continued run has other neighbours in its
    batches, and must end with the same bytes. They may not where the model does not fit into memory.
    """
    try:
        return places_are_equal(model.separate, model.channels, grid.chunk, grid.batch_size)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return False


def ladder(grid: Chunking) -> Iterator[Chunking]:
    """Yields what to try as memory runs out: the grid asked for, smaller batches, then shorter chunks.

    Example:
        >>> [(g.chunk, g.batch_size) for g in ladder(Chunking(64, 48, 3))]
        [(64, 3), (64, 1), (32, 1), (16, 1), (8, 1), (4, 1)]
    """
    yield grid
    while grid.batch_size > 1:
        grid = replace(grid, batch_size=grid.batch_size // 2)
        yield grid
    for _ in range(SHORTEST):
        grid = replace(grid, chunk=max(1, grid.chunk // 2), hop=max(1, grid.hop // 2))
        yield grid


def is_out_of_memory(error: Exception) -> bool:
    """Returns whether a GPU's or the machine's memory ran out; PyTorch's CPU allocator says so in words."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "DefaultCPUAllocator" in str(error)
