"""Vector quantisation with a codebook that follows its inputs by moving averages."""

import torch
from torch import Tensor, nn

from vsep_ray.parallel import collectives

DEAD = 0.03
"""A code whose use falls below this share of the average is put somewhere else."""


class Codebook(nn.Module):
    """A codebook of K vectors of which an input takes the nearest; the gradient passes straight through.

    In training mode every code moves towards the mean of the vectors that chose it; codes that hardly anybody
    chooses restart at random inputs. Counts and sums are added up over all workers and restarts are those of
    the first worker, so that all copies stay equal.

    Args:
        codes: number of codes K.
        width: their length D.
        decay: of the moving averages.

    Shape: (B, D, N) -> straight-through vectors (B, D, N), indices (B, N).
    Reference: van den Oord et al., Neural discrete representation learning (VQ-VAE), 2017, eq. 1-3 and
    appendix A.1 (moving averages); restarts: Dhariwal et al., Jukebox, 2020, section 3.1.
    """

    vectors: Tensor
    counts: Tensor

    def __init__(self, codes: int, width: int, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("vectors", torch.randn(codes, width))
        self.register_buffer("counts", torch.zeros(codes))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the codes' vectors and their indices. Shape: (B, D, N) -> (B, D, N), (B, N)."""
        index = self.nearest(x)
        if self.training:
            self._follow(x.detach(), index)
        return x + (self.lookup(index) - x).detach(), index

    def nearest(self, x: Tensor) -> Tensor:
        """Returns the indices of the nearest codes. Shape: (B, D, N) -> (B, N)."""
        flat = x.detach().transpose(1, 2)
        return ((self.vectors**2).sum(-1) - 2 * flat @ self.vectors.T).argmin(-1)

    def lookup(self, index: Tensor) -> Tensor:
        """Returns the codes' vectors. Shape: (B, N) -> (B, D, N)."""
        return self.vectors[index].transpose(1, 2)

    @torch.no_grad()
    def _follow(self, x: Tensor, index: Tensor) -> None:
        flat = x.transpose(1, 2).flatten(0, 1)
        chosen = nn.functional.one_hot(index.flatten(), len(self.counts)).to(flat)
        new = collectives.summed(torch.cat([chosen.sum(0)[:, None], chosen.T @ flat], 1))
        strangers = collectives.from_first(
            flat[torch.randint(len(flat), (len(self.counts),)).to(flat.device)]
        )
        if not torch.isfinite(new).all():
            return  # training skips such a batch
        sums = self.vectors * self.counts[:, None] * self.decay + (1 - self.decay) * new[:, 1:]
        self.counts.mul_(self.decay).add_(new[:, 0], alpha=1 - self.decay)
        dead = self.counts < DEAD * self.counts.mean()
        moved = sums / self.counts.clamp_min(1e-8)[:, None]
        self.vectors.copy_(torch.where(dead[:, None], strangers, moved))
        self.counts.copy_(torch.where(dead, self.counts.mean(), self.counts))


def perplexity(index: Tensor, codes: int) -> Tensor:
    """Returns exp of the entropy of the codes' use, which says how many codes are in use.

    Shape: (B, N) -> ().

    Example:
        >>> perplexity(torch.tensor([[0, 1, 0, 1]]), 8).item()
        2.0
    """
    share = torch.bincount(index.flatten(), minlength=codes).double() / index.numel()
    return torch.exp(-torch.special.xlogy(share, share).sum()).float()
