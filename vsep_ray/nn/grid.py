"""Layers over a grid of frames and bands: (B, N, bands, D) in and out, with the D features side by side.

They are branches of `Residual`, which starts as the identity.
"""

import torch
from torch import Tensor, nn

from vsep_ray.nn.conv import zero_init


class Residual(nn.Module):
    """x + out(branch(norm(x))), out starting at zero.

    Shape: (B, N, K, D) -> (B, N, K, D).
    Reference: He et al., Identity mappings in deep residual networks, 2016.
    """

    def __init__(self, width: int, branch: nn.Module, inner: int = 0) -> None:
        super().__init__()
        self.norm, self.branch = nn.LayerNorm(width), branch
        self.out = zero_init(nn.Linear(inner or width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Returns the grid plus the branch. Shape: (B, N, K, D) -> (B, N, K, D)."""
        return x + self.out(self.branch(self.norm(x)))


class AlongTime(nn.Module):
    """A convolution along frames, then GELU. Shape: (B, N, K, D) -> (B, N, K, D)."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, (3, 1), padding=(dilation, 0), dilation=(dilation, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Returns the grid after the layer. Shape: (B, N, K, D) -> (B, N, K, D)."""
        # the features of a cell are side by side in memory: what torch calls channels last
        return nn.functional.gelu(self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))


class AcrossBands(nn.Module):
    """Each band as weighted sums of all bands, of one weight per pair of bands and group of features.

    Shape: (B, N, K, D) -> (B, N, K, D).
    Reference: the frequency-wise linear layer of Choi et al., Investigating U-Nets with various intermediate
    blocks for spectrogram-based singing voice separation, 2020.
    """

    def __init__(self, bands: int, groups: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(groups, bands, bands) / bands**0.5)
        self.bias = nn.Parameter(torch.zeros(bands, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Returns the grid after the layer. Shape: (B, N, K, D) -> (B, N, K, D)."""
        grouped = x.unflatten(-1, (len(self.weight), -1))
        mixed = torch.einsum("gkj,bnjgd->bnkgd", self.weight, grouped).flatten(-2)
        return nn.functional.gelu(mixed + self.bias)


class Perceptron(nn.Sequential):
    """The hidden layer of a perceptron within each cell. Shape: (B, N, K, D) -> (B, N, K, factor D)."""

    def __init__(self, width: int, factor: int) -> None:
        super().__init__(nn.Linear(width, factor * width), nn.GELU())


class Recurrent(nn.Module):
    """A bidirectional LSTM along frames or across bands. Shape: (B, N, K, D) -> (B, N, K, D).

    Reference: Luo & Yu, Music source separation with band-split RNN, 2023.
    """

    def __init__(self, width: int, along_time: bool) -> None:
        super().__init__()
        self.axis = 1 if along_time else 2
        self.lstm = nn.LSTM(width, width // 2, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the grid after the layer. Shape: (B, N, K, D) -> (B, N, K, D)."""
        steps = x.movedim(self.axis, 0)
        with torch.autocast(x.device.type, enabled=False):  # not every CPU has this layer in bf16
            hidden, _ = self.lstm(steps.reshape(len(steps), -1, x.shape[-1]).to(next(self.lstm.parameters())))
        return hidden.reshape(steps.shape).movedim(0, self.axis)


class Attention(nn.Module):
    """Self-attention along frames or across bands, with rotary positions.

    Shape: (B, N, K, D) -> (B, N, K, D).
    Reference: Lu et al., Music source separation with band-split RoPE transformer, 2024; positions: Su et
    al., RoFormer, 2021, eq. 34.
    """

    def __init__(self, width: int, heads: int, along_time: bool) -> None:
        super().__init__()
        self.heads, self.along_time = heads, along_time
        self.queries_keys_values = nn.Linear(width, 3 * width)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the grid after the layer. Shape: (B, N, K, D) -> (B, N, K, D)."""
        x = x.transpose(1, 2) if self.along_time else x
        triple = self.queries_keys_values(x).unflatten(-1, (3, self.heads, -1))
        queries, keys, values = triple.flatten(0, 1).permute(2, 0, 3, 1, 4)
        attended = nn.functional.scaled_dot_product_attention(_rotated(queries), _rotated(keys), values)
        grid = attended.transpose(1, 2).reshape(x.shape)
        return grid.transpose(1, 2) if self.along_time else grid


def _rotated(x: Tensor) -> Tensor:
    """Returns pairs of features turned by angles in proportion to their place. Shape: (..., L, D)."""
    half = x.shape[-1] // 2
    speeds = 10_000.0 ** (-torch.arange(half, device=x.device) / half)
    angles = torch.arange(x.shape[-2], device=x.device).unsqueeze(1) * speeds
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x.chunk(2, -1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], -1)
