"""Convolution blocks over time: (B, C, T) in, (B, C', T) out.

What they return lies in memory as (B, T, C'): with the channels of a sample side by side a convolution is a
product of matrices without copies. Element-wise operations keep it so, and shapes never change.
"""

from typing import TypeVar

import torch
from torch import Tensor, nn
from typing_extensions import override

M = TypeVar("M", bound=nn.Module)


class Conv(nn.Conv1d):
    """`torch.nn.Conv1d`, with the channels of a sample side by side in memory.

    Shape: (B, C, T) -> (B, C', T').
    """

    @override
    def forward(self, x: Tensor) -> Tensor:
        if self.kernel_size == self.stride == (1,):
            return nn.functional.linear(x.mT, self.weight[..., 0], self.bias).mT
        assert not isinstance(self.padding, str)
        (padding,), (stride,), (dilation,) = self.padding, self.stride, self.dilation
        return nn.functional.conv2d(
            _side_by_side(x), _side_by_side(self.weight), self.bias,
            (1, stride), (0, padding), (1, dilation), self.groups,
        ).squeeze(2)  # fmt: skip


class Norm(nn.GroupNorm):
    """Each item is normalised over all its channels and samples, then scaled and shifted by channel.

    Shape: (B, C, T) -> (B, C, T).
    Reference: Ba et al., Layer normalization, 2016; the axes: Luo & Mesgarani, Conv-TasNet, 2019, eq. 12.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(1, channels)

    @override
    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled() and not x.requires_grad:
            # torch 2.13 crashes here: the kernel writes a gradient of its input that nobody has asked for
            x = x.detach().requires_grad_()
        return super().forward(_side_by_side(x)).squeeze(2)


def _side_by_side(x: Tensor) -> Tensor:
    return x.unsqueeze(2).contiguous(memory_format=torch.channels_last)


def zero_init(layer: M) -> M:
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
        self.norm = Norm(width)
        self.first = Conv(width, width, 3, padding=dilation, dilation=dilation)
        self.second = zero_init(Conv(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Returns the input plus the branch. Shape: (B, width, T) -> (B, width, T)."""
        hidden = self.first(torch.nn.functional.gelu(self.norm(x)))
        return x + self.second(torch.nn.functional.gelu(hidden))
