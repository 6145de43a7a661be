"""Random numbers of a batch are drawn item by item.

Within `by_item` every item of a batch draws from a stream of its own: what it gets depends neither on what
shares its batch nor on how many workers the batch is divided among. Elsewhere torch's global stream serves
all.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

_stream: ContextVar[Callable[[int], torch.Generator] | None] = ContextVar("stream", default=None)


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
    token = _stream.set(functools.cache(lambda item: torch.Generator().manual_seed(seed(first + item))))
    try:
        yield
    finally:
        _stream.reset(token)


def normal(shape: Sequence[int], like: Tensor, dim: int = 0) -> Tensor:
    """Returns draws of N(0, 1) for the items along ``dim``, of the dtype and on the device of ``like``."""
    return _filled(shape, dim, torch.Tensor.normal_).to(like)


def uniform(shape: Sequence[int], like: Tensor, dim: int = 0) -> Tensor:
    """Returns draws of U(0, 1) for the items along ``dim``, of the dtype and on the device of ``like``."""
    return _filled(shape, dim, torch.Tensor.uniform_).to(like)


def _filled(shape: Sequence[int], dim: int, fill: Callable[..., Tensor]) -> Tensor:
    stream = _stream.get()
    if stream is None:
        return fill(torch.empty(*shape))
    rest = [size for axis, size in enumerate(shape) if axis != dim]
    drawn = torch.empty(shape[dim], *rest)
    for item, values in enumerate(drawn):
        fill(values, generator=stream(item))
    return drawn.movedim(0, dim)
