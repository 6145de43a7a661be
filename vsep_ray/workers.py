"""What the workers of one training tell each other; a worker that is alone hears itself."""

import torch
import torch.distributed as dist
from torch import Tensor


def count() -> int:
    """Workers that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def summed(x: Tensor) -> Tensor:
    """The sum over all workers, on each of them."""
    if count() == 1:
        return x
    total = x.clone()
    dist.all_reduce(total)
    return total


def averaged(x: Tensor) -> Tensor:
    """The mean over all workers, on each of them."""
    return summed(x) / count()


def from_first(x: Tensor) -> Tensor:
    """What the first worker has, on each of them."""
    if count() == 1:
        return x
    dist.broadcast(x := x.clone(), 0)
    return x


def gathered(x: Tensor) -> tuple[Tensor, slice]:
    """The items of all workers, one worker after the other, and which of them are one's own.

    Shape: (B, ...) -> (workers B, ...); B is the same on all of them.
    """
    if count() == 1:
        return x, slice(len(x))
    parts = [torch.empty_like(x) for _ in range(count())]
    dist.all_gather(parts, x.contiguous())
    first = dist.get_rank() * len(x)
    return torch.cat(parts), slice(first, first + len(x))
