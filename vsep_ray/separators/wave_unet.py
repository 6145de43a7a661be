"""The Wave-U-Net backbone: a U-Net on the waveform."""

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vsep_ray.nn.conv import Conv
from vsep_ray.nn.precision import network
from vsep_ray.separators.posterior import PARAMETERS, with_equal_parts


@dataclass(frozen=True)
class WaveUNetConfig:
    """A U-Net on the waveform that halves the rate at every level."""

    levels: int = 8
    """The network halves the sample rate this number of times (the paper: 12)."""
    width: int = 16
    """Each level adds this number of channels (the paper: 24)."""
    down_kernel: int = 15
    """Convolutions on the way down have this number of taps, an odd one."""
    up_kernel: int = 5
    """Convolutions on the way up have this number of taps, an odd one."""

    def build(self, num_sources: int, channels: int) -> "WaveUNet":
        """Returns the untrained backbone."""
        return WaveUNet(self, num_sources, channels)


class WaveUNet(nn.Module):
    """share_k = m / K + f_k(m): the way down convolves and drops every other sample. The way back up
    interpolates linearly and joins what the way down saw at that rate.

    Shape: (B, C, T) -> (B, K, 2, C, T), T a multiple of `multiple` = 2^levels.

    Reference: Stoller, Ewert & Dixon, Wave-U-Net, 2018, section 3 (variant M4 without context).
    Deviations: equal parts of the mixture are added to the output instead of a tanh; zeros at the ends.
    """

    def __init__(self, config: WaveUNetConfig, num_sources: int, channels: int) -> None:
        super().__init__()
        self.config, self.multiple, self.num_sources = config, 2**config.levels, num_sources
        widths = [channels] + [config.width * (i + 1) for i in range(config.levels + 1)]
        pairs = list(itertools.pairwise(widths))
        self.down = nn.ModuleList(_convolve(a, b, config.down_kernel) for a, b in pairs[:-1])
        self.bottom = _convolve(*pairs[-1], config.down_kernel)
        self.up = nn.ModuleList(_convolve(a + b, a, config.up_kernel) for a, b in reversed(pairs[1:]))
        self.out = Conv(widths[1] + channels, num_sources * PARAMETERS * channels, 1)

    def forward(self, mixture: Tensor) -> Tensor:
        """Returns the parameters of the posterior. Shape: (B, C, T) -> (B, K, 2, C, T)."""
        return with_equal_parts(self._network(mixture), mixture, self.num_sources)

    @network
    def _network(self, mixture: Tensor) -> Tensor:
        x, skips = mixture, []
        for layer in self.down:
            skips.append(layer(x))
            x = skips[-1][..., ::2]
        x = self.bottom(x)
        for layer in self.up:
            x = layer(torch.cat([_double(x), skips.pop()], 1))
        return self.out(torch.cat([x, mixture], 1))


def _convolve(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(Conv(inputs, outputs, kernel, padding=kernel // 2), nn.LeakyReLU(0.2))


def _double(x: Tensor) -> Tensor:
    """Returns the signal interpolated linearly to twice the rate, the last sample held.

    Shape: (B, W, T) -> (B, W, 2 T).
    """
    after = torch.cat([x[..., 1:], x[..., -1:]], -1)
    return torch.stack([x, (x + after) / 2], -1).flatten(-2)
