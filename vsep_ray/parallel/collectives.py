"""What the workers of one training tell each other; a worker that is alone hears itself."""

import torch
import torch.distributed as dist
from torch import Tensor


def count() -> int:
    """Returns the number of workers that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def part(size: int) -> slice:
    """Returns the items of a batch of ``size`` that this worker has; the parts of two workers differ by one
    item at most.
    """
    rank = dist.get_rank() if count() > 1 else 0
    return slice(rank * size // count(), (rank + 1) * size // count())


def summed(x: Tensor) -> Tensor:
    """Returns the sum over all workers, the same on every worker."""
    if count() == 1:
        return x
    total = x.clone()
    dist.all_reduce(total)
    return total


def averaged(x: Tensor) -> Tensor:
    """Returns the mean over all workers, the same on every worker."""
    return summed(x) / count()


def from_first(x: Tensor) -> Tensor:
    """Returns what the first worker has, on every worker."""
    if count() == 1:
        return x
    dist.broadcast(x := x.clone(), 0)
    return x


def gathered(x: Tensor) -> tuple[Tensor, slice]:
    """Returns the items of all workers, one worker after the other, and the places of one's own.

    Shape: (B, ...) -> (sum of all B, ...).
    """
    if count() == 1:
        return x, slice(len(x))
    sizes = [int(n) for n in summed(torch.eye(count(), device=x.device)[dist.get_rank()] * len(x))]
    room = max(sizes)  # a collective call wants equal shapes
    padded = torch.cat([x, x.new_zeros(room - len(x), *x.shape[1:])])
    parts = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(parts, padded)
    first = sum(sizes[: dist.get_rank()])
    return torch.cat([p[:n] for p, n in zip(parts, sizes, strict=True)]), slice(first, first + len(x))
