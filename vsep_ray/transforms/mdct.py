"""The modified discrete cosine transform on a circle is orthonormal, for waveforms of whole hops."""

import math

import torch
from torch import Tensor


def mdct(x: Tensor, bins: int) -> Tensor:
    r"""Returns the lapped cosine coefficients of a waveform; the last frame overlaps the first.

    :math:`X_{k,n} = \sum_i w_i \sqrt{2/F} \cos(\pi/F\,(i + 1/2 + F/2)(k + 1/2))\, x_{nF+i}`,
    i = 0..2F-1, with the sine window w. The map is orthonormal: it keeps energy, white noise and densities
    (log-determinant 0).

    Shape: (..., T) -> (..., F, N), F = ``bins``, N = T / F; T a multiple of ``bins``.
    Reference: Princen & Bradley, Analysis/synthesis filter bank design based on time domain aliasing
    cancellation, 1986; the sine window: Malvar, Lapped transforms, 1990.
    """
    blocks = x.unflatten(-1, (-1, bins))
    frames = torch.cat([blocks, blocks.roll(-1, -2)], -1)
    return (frames @ _basis(bins, x)).transpose(-1, -2)


def imdct(coefficients: Tensor) -> Tensor:
    """Returns the inverse of `mdct`, which is its transpose. Shape: (..., F, N) -> (..., F N)."""
    bins = coefficients.shape[-2]
    frames = coefficients.transpose(-1, -2) @ _basis(bins, coefficients).T
    return (frames[..., :bins] + frames[..., bins:].roll(1, -2)).flatten(-2)


def _basis(bins: int, like: Tensor) -> Tensor:
    i = torch.arange(2 * bins, dtype=torch.float64)[:, None] + 0.5
    k = torch.arange(bins, dtype=torch.float64) + 0.5
    window = torch.sin(math.pi / (2 * bins) * i) * math.sqrt(2 / bins)
    return (window * torch.cos(math.pi / bins * (i + bins / 2) * k)).to(like)
