"""What the workers of one training tell each other; a worker that is alone hears itself."""

import torch
import torch.distributed as dist
from torch import Tensor


def count() -> int:
    """Workers that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def part(size: int) -> slice:
    """The items of a batch of so many that this worker has; the parts differ by one item at most."""
    rank = dist.get_rank() if count() > 1 else 0
    return slice(rank * size // count(), (rank + 1) * size // count())


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
