"""Waveforms as frames: the temporal encoder and decoder of autoencoders."""

import torch
from torch import Tensor, nn

from vsep_ray.nn.conv import Conv, residual_stack
from vsep_ray.nn.precision import network


class FrameStack(nn.Module):
    """Residual convolutions over frames between two linear maps.

    Args:
        inputs, outputs: channels in and out.
        width: channels of the network.
        blocks: residual blocks.

    Shape: (B, inputs, N) -> (B, outputs, N).
    """

    def __init__(self, inputs: int, outputs: int, width: int, blocks: int) -> None:
        super().__init__()
        self.inp = Conv(inputs, width, 3, padding=1)
        self.blocks = residual_stack(width, blocks)
        self.out = Conv(width, outputs, 1)

    @network
    def forward(self, x: Tensor) -> Tensor:
        """Returns the frames after all layers. Shape: (B, inputs, N) -> (B, outputs, N)."""
        return self.out(self.blocks(self.inp(x)))


def fold(x: Tensor, hop: int) -> Tensor:
    """Returns frames of ``hop`` samples as channels. Shape: (B, C, T) -> (B, C hop, T / hop)."""
    return x.unflatten(-1, (-1, hop)).transpose(2, 3).flatten(1, 2)


def unfold(frames: Tensor, hop: int) -> Tensor:
    """Returns the inverse of `fold`. Shape: (..., C hop, N) -> (..., C, N hop)."""
    return frames.unflatten(-2, (-1, hop)).transpose(-1, -2).flatten(-2)


def with_level(frames: Tensor, embedding: Tensor) -> Tensor:
    """Returns the noise level's embedding beside every frame. Shape: (B, D, N), (B, E) -> (B, D + E, N)."""
    return torch.cat([frames, embedding[..., None].expand(-1, -1, frames.shape[-1])], 1)
