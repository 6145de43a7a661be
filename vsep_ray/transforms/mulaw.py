"""The mu-law companding curve of G.711 is continued beyond full scale."""

import math

import torch
from torch import Tensor

MU = 255


def compand(x: Tensor) -> Tensor:
    """Returns u = sign(x) ln(1 + mu |x|) / ln(1 + mu), mu = 255. Full scale 1 maps to 1, and what is louder
    goes on beyond it.

    Reference: ITU-T G.711, 1988; van den Oord et al., WaveNet, 2016, section 2.2.

    Example:
        >>> compand(torch.tensor([-1.0, 0.0, 1.0])).tolist()
        [-1.0, 0.0, 1.0]
    """
    return torch.sign(x) * torch.log1p(MU * x.abs()) / math.log1p(MU)


def expand(u: Tensor) -> Tensor:
    """Returns the inverse of `compand`.

    Example:
        >>> round(expand(compand(torch.tensor(0.3))).item(), 6)
        0.3
    """
    return torch.sign(u) * torch.expm1(u.abs() * math.log1p(MU)) / MU


def log_slope(x: Tensor) -> Tensor:
    """Returns log du/dx of `compand`, which a density over u gains as a density over x.

    Example:
        >>> x = torch.tensor(0.1, requires_grad=True)
        >>> compand(x).backward()
        >>> abs(x.grad.log().item() - log_slope(x).item()) < 1e-6
        True
    """
    return math.log(MU / math.log1p(MU)) - torch.log1p(MU * x.abs())
