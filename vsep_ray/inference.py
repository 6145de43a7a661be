"""From a mixture to its sources: plain functions, (B, C, T) -> (B, K, C, T) once their keywords are bound."""

from collections.abc import Callable

import torch
from torch import Tensor

from vsep_ray.separators.separator import Separator

SeparateFn = Callable[[Tensor], Tensor]


@torch.no_grad()
def amortized(mixture: Tensor, *, separator: Separator) -> Tensor:
    """The posterior mean of one forward pass, the estimate that maximises expected SDR.

    Shape: (B, C, T) -> (B, K, C, T).
    """
    return separator(mixture).mean
