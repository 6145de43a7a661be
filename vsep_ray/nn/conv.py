"""Convolution blocks over time: (B, C, T) in, (B, C', T) out."""

import torch
from torch import Tensor, nn


def zero_init(layer: nn.Conv1d) -> nn.Conv1d:
    """Returns the same layer with zero weights and biases, with which a residual branch starts as the
    identity.
    """
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def residual_stack(width: int, blocks: int) -> nn.Sequential:
    """Returns residual blocks with dilations 1, 2, 4, 1, 2, 4 and so on.

    Shape: (B, width, T) -> (B, width, T).
    """
    return nn.Sequential(*(ResidualBlock(width, 2 ** (i % 3)) for i in range(blocks)))


class ResidualBlock(nn.Module):
    """x + conv(gelu(conv(gelu(norm(x))))), the second convolution starting at zero.

    Args:
        width: channels of the network.
        dilation: frames between the taps of the first convolution (kernel 3).

    Shape: (B, width, T) -> (B, width, T).
    Reference: He et al., Identity mappings in deep residual networks, 2016.
    """

    def __init__(self, width: int, dilation: int = 1) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, width)
        self.first = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.second = zero_init(nn.Conv1d(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Returns the input plus the branch. Shape: (B, width, T) -> (B, width, T)."""
        hidden = self.first(torch.nn.functional.gelu(self.norm(x)))
        return x + self.second(torch.nn.functional.gelu(hidden))
