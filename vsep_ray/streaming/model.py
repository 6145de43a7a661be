"""A separator becomes a stream's model: it says what is computed of a chunk, and the grid of the chunks."""

import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal

import torch

from vsep_ray.chunking import BATCH_SIZE, arriving, places_are_equal
from vsep_ray.inference import SeparateFn, amortized_with_variance
from vsep_ray.joint import Joint
from vsep_ray.methods import AmortizedConfig, MethodConfig, over_shifts, seeded
from vsep_ray.nn.precision import Precision, computing
from vsep_ray.separators import Separator
from vsep_ray.streaming.selection import Selection
from vsep_ray.streaming.stream import Chunking, Model

GAIN = 1.05
"""A batch of twice the size must be faster by this factor, or it only takes memory."""
Channels = Literal["each", "middle"]
LARGEST = 256
"""A forward pass has at most this number of chunks."""
PASSES = 3
SHORTEST = 4
"""A chunk may be halved this often when memory runs out."""


def stream_model(
    separator: Separator,
    selection: Selection,
    samples: int,
    device: torch.device,
    precision: Precision = "auto",
    *,
    method: MethodConfig = AmortizedConfig(),  # noqa: B008  (frozen)
    joint: Joint | None = None,
    shifts: int = 1,
    channels: Channels = "each",
) -> Model:
    """Returns a separator as a model: its shares, and with ``samples`` draws the stems' variances.

    Args:
        separator: q(s | m).
        selection: the stems, whose variances are asked for.
        samples: draws of the amortized posterior; 0: none.
        device: where it runs.
        precision: what it multiplies in.
        method: how sources are estimated.
        joint: the priors, for methods that ask them.
        shifts: see `methods.over_shifts`.
        channels: what a separator of mono makes of left and right: it separates each, which keeps the places
            of instruments, or their mean, whose shares both get.
    """
    separator = separator.to(device)
    joint = joint.to(device) if joint else None
    matrix = torch.from_numpy(selection.matrix).to(device)
    shares = _drawn(separator, samples, matrix) if samples else _shares(separator, method, joint)
    estimate, width = over_shifts(shares, shifts, separator.multiple), separator.channels
    if width == 1 and channels == "each":
        estimate, width = _each(estimate), 2
    estimate = _same_on_all_sides(estimate)

    def separate(mixture: torch.Tensor) -> torch.Tensor:
        if device.type == "cuda":  # from page-locked memory a GPU copies beside its work
            mixture = mixture.pin_memory()
        mixture = mixture.to(device, non_blocking=True)
        with computing(precision, device):
            return estimate(mixture)

    return Model(separate, separator.sources, separator.sample_rate, width)


def _each(separate: SeparateFn) -> SeparateFn:
    """Returns (B, 2, T) -> (B, J, 2, T) of what does (B, 1, T) -> (B, J, 1, T)."""

    def both(mixture: torch.Tensor) -> torch.Tensor:
        sides = separate(mixture.flatten(0, 1).unsqueeze(1))
        return sides.squeeze(2).unflatten(0, (-1, 2)).transpose(1, 2)

    return both


def _same_on_all_sides(separate: SeparateFn) -> SeparateFn:
    """Returns what gives equal channels to a mixture of equal channels, their mean: a separator tells its
    channels apart by their places, and would spread what was mono. The sum stays.
    """

    def mean(mixture: torch.Tensor) -> torch.Tensor:
        estimates = separate(mixture)
        is_mono = (mixture == mixture[:, :1]).flatten(1).all(1)[:, None, None, None]
        return torch.where(is_mono, estimates.mean(2, keepdim=True), estimates)

    return mean


def _shares(separator: Separator, method: MethodConfig, joint: Joint | None) -> SeparateFn:
    """Returns (B, C, T) -> (B, K, C, T), the shares a_k s_k."""
    separate = method.bind(separator, joint)
    if method.asks_priors:  # these draw noise
        separate = seeded(separate)
    return lambda mixture: separator.mixing.shares(separate(mixture))


def _drawn(separator: Separator, samples: int, matrix: torch.Tensor) -> SeparateFn:
    """Returns (B, C, T) -> (B, K + J, C, T), below the shares the variances of the stems."""
    drawn = functools.partial(amortized_with_variance, separator=separator, samples=samples, matrix=matrix)
    return seeded(lambda mixture: torch.cat(drawn(mixture), 1))


def chunking(separator: Separator, chunk_seconds: float, overlap: float, batch_size: int) -> Chunking:
    """Returns the grid in samples of the model's rate; chunks are rounded up to the model's multiple. A
    batch size of 0 is the default.
    """
    multiple = separator.multiple
    chunk = -(-round(chunk_seconds * separator.sample_rate) // multiple) * multiple
    return Chunking(chunk, max(1, chunk - round(chunk * overlap)), batch_size or BATCH_SIZE)


def saturating(pace: Callable[[int], float]) -> int:
    """Returns the batch size from which on a larger one is hardly faster, at most `LARGEST`.

    Args:
        pace: chunks per second at a batch size; it may raise when memory runs out.

    Example:
        >>> saturating({1: 10.0, 2: 19.0, 4: 30.0, 8: 30.5}.__getitem__)
        4
    """
    size, fastest = 1, pace(1)
    while size < LARGEST:
        try:
            faster = pace(2 * size)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return max(1, size // 2)  # with room for the batch that follows
        if faster < GAIN * fastest:
            break
        size, fastest = 2 * size, faster
    return size


def pace(model: Model, chunk: int, batch_size: int) -> float:
    """Returns how many chunks per second a model separates, the fastest of some passes over noise."""
    mixture = torch.randn(batch_size, model.channels, chunk)

    def seconds() -> float:
        began = time.perf_counter()
        arriving(model.separate(mixture))[0]()
        return time.perf_counter() - began

    seconds()
    return batch_size / min(seconds() for _ in range(PASSES))


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
