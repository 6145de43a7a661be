"""Random numbers of a batch, item by item.

Within `by_item` every item of a batch draws from a stream of its own: what it gets depends neither on what
shares its batch nor on how many workers the batch is divided among. Elsewhere torch's global stream serves
all.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor


class _Streams:
    """A generator per item, made when it is first asked for."""

    def __init__(self, seed: Callable[[int], int], first: int) -> None:
        self.seed, self.start = seed, first
        self.made: list[torch.Generator] = []

    def first(self, num: int) -> list[torch.Generator]:
        for item in range(len(self.made), num):
            self.made.append(torch.Generator().manual_seed(self.seed(self.start + item)))
        return self.made[:num]


_streams: ContextVar[_Streams | None] = ContextVar("streams", default=None)


@contextmanager
def by_item(seed: Callable[[int], int], first: int = 0) -> Iterator[None]:
    """Within this block, item i of a batch draws from a stream that ``seed(first + i)`` starts. Of the seed
    the lowest 32 bits count; ``first`` is the place of the batch in a larger one.

    Example:
        >>> with by_item(lambda i: 10 + i):
        ...     both = normal((2, 3), torch.zeros(()))
        >>> with by_item(lambda i: 10 + i, first=1):
        ...     second = normal((1, 3), torch.zeros(()))
        >>> torch.equal(both[1], second[0])
        True
    """
    token = _streams.set(_Streams(seed, first))
    try:
        yield
    finally:
        _streams.reset(token)


def normal(shape: Sequence[int], like: Tensor, dim: int = 0) -> Tensor:
    """Returns draws of N(0, 1) for the items along ``dim``, of the dtype and on the device of ``like``."""
    return _filled(shape, dim, torch.Tensor.normal_).to(like)


def uniform(shape: Sequence[int], like: Tensor, dim: int = 0) -> Tensor:
    """Returns draws of U(0, 1) for the items along ``dim``, of the dtype and on the device of ``like``."""
    return _filled(shape, dim, torch.Tensor.uniform_).to(like)


def _filled(shape: Sequence[int], dim: int, fill: Callable[..., Tensor]) -> Tensor:
    streams = _streams.get()
    if streams is None:
        return fill(torch.empty(*shape))
    rest = [size for axis, size in enumerate(shape) if axis != dim]
    drawn = torch.empty(shape[dim], *rest)
    for item, generator in zip(drawn, streams.first(shape[dim]), strict=True):
        fill(item, generator=generator)
    return drawn.movedim(0, dim)
