"""The band-split backbone: complex masks from bands whose layers share what they learn."""

from dataclasses import dataclass, field
from itertools import chain
from typing import ClassVar

import torch
from torch import Tensor, nn

from vsep_ray.config import UserError
from vsep_ray.nn.bands import BandMasks, SplitBands, bands
from vsep_ray.nn.grid import AcrossBands, AlongTime, Attention, Perceptron, Recurrent, Residual
from vsep_ray.nn.precision import network
from vsep_ray.separators.posterior import PARAMETERS
from vsep_ray.separators.spectrogram_unet import upsampled
from vsep_ray.transforms.stft import compress, resynthesis, stft


@dataclass(frozen=True)
class ConvolutionBlockConfig:
    """Convolutions along time, and linear layers across bands."""

    dilations: int = 5
    """The layers along time look 1, 2, 4 and so on frames around, and begin anew after this number."""
    groups: int = 4
    """The features of a cell are mixed across bands in this number of groups."""

    @property
    def parts(self) -> int:
        """Equal parts into which the features are divided."""
        return self.groups

    def layers(self, width: int, bands: int, number: int) -> list[nn.Module]:
        """Returns a block of the network."""
        return [
            Residual(width, AlongTime(width, 2 ** (number % self.dilations))),
            Residual(width, AcrossBands(bands, self.groups)),
            Residual(width, Perceptron(width, 2), 2 * width),
        ]


@dataclass(frozen=True)
class RecurrentBlockConfig:
    """Bidirectional LSTMs along time and across bands."""

    parts: ClassVar[int] = 2
    """Equal parts into which the features are divided: one per direction."""

    def layers(self, width: int, bands: int, number: int) -> list[nn.Module]:
        """Returns a block of the network."""
        return [Residual(width, Recurrent(width, along_time)) for along_time in (True, False)]


@dataclass(frozen=True)
class AttentionBlockConfig:
    """Attention along time and across bands."""

    heads: int = 2
    """The features are attended to in this number of groups."""

    @property
    def parts(self) -> int:
        """Equal parts into which the features are divided: pairs of features in every head."""
        return 2 * self.heads

    def layers(self, width: int, bands: int, number: int) -> list[nn.Module]:
        """Returns a block of the network."""
        return [
            layer
            for along_time in (True, False)
            for layer in (
                Residual(width, Attention(width, self.heads, along_time)),
                Residual(width, Perceptron(width, 2), 2 * width),
            )
        ]


# The union of all blocks: a new one is a config in this file and its name here.
BlockConfig = ConvolutionBlockConfig | RecurrentBlockConfig | AttentionBlockConfig


@dataclass(frozen=True)
class BandSplitConfig:
    """Complex masks by layers along time and across bands, narrow below and wide above."""

    n_fft: int = 4_096
    """Each frame of the short-time Fourier transform has this number of samples."""
    hop: int = 1_024
    """Frames begin this number of samples apart; it divides the samples of a frame."""
    width: int = 96
    """Each band of a frame has this number of features."""
    blocks: int = 8
    """The network has this number of blocks, each with a layer along time, one across bands, and one within
    bands."""
    block: BlockConfig = field(default_factory=ConvolutionBlockConfig)
    narrowest: int = 4
    """The lowest bands have this number of bins."""
    ratio: float = 8.0
    """A band further up is this fraction of its own frequency wide."""
    masks: int = 16
    """A band has at most this number of masks; neighbouring bins of a wider one share them."""
    compression: float = 0.3
    """The network reads magnitudes raised to this power."""

    def __post_init__(self) -> None:
        if self.n_fft % (2 * self.hop) or self.width % self.block.parts or self.ratio <= 0:
            raise UserError(
                f"bandsplit needs a hop that divides half of n_fft, a width that is a multiple of "
                f"{self.block.parts} under this block, and a ratio above 0; got n_fft {self.n_fft}, "
                f"hop {self.hop}, width {self.width}, ratio {self.ratio:g}"
            )

    def build(self, num_sources: int, channels: int) -> "BandSplit":
        """Returns the untrained backbone."""
        return BandSplit(self, num_sources, channels)


class BandSplit(nn.Module):
    """share_k = istft(M_k stft(m)), M complex; log std per source, channel and frame, interpolated linearly.

    Input features per bin: r, r cos(phase), r sin(phase) with r = |X|^compression, of all channels together.
    The masks start near 1/K.

    Shape: (B, C, T) -> (B, K, 2, C, T); T a multiple of `multiple`.

    Reference: Luo & Yu, Music source separation with band-split RNN, 2023 (bands, shared layers); Kim, Choi
    et al., KUIELab-MDX-Net, 2021 (convolutions along time beside linear layers across frequency).
    """

    def __init__(self, config: BandSplitConfig, num_sources: int, channels: int) -> None:
        super().__init__()
        self.config, self.multiple = config, config.hop
        found = bands(config.n_fft // 2 + 1, config.narrowest, config.ratio, config.masks)
        self.split = SplitBands(found, 3 * channels, config.width)
        self.places = nn.Parameter(torch.zeros(len(found), config.width))
        blocks = (config.block.layers(config.width, len(found), i) for i in range(config.blocks))
        self.trunk = nn.Sequential(*chain(*blocks), nn.LayerNorm(config.width))
        self.masks = BandMasks(found, num_sources, channels, config.width)
        self.log_std = nn.Linear(config.width, num_sources * channels)
        self.channels = channels

    def forward(self, mixture: Tensor) -> Tensor:
        """Returns the parameters of the posterior. Shape: (B, C, T) -> (B, K, 2, C, T)."""
        spectrum = stft(mixture, self.config.n_fft, self.config.hop)
        raw, log_std = self._network(compress(spectrum, self.config.compression))
        parts = self.masks.apply_to(spectrum.permute(0, 3, 1, 2), raw)
        shares = resynthesis(parts, self.config.hop, mixture.shape[-1])
        spread = upsampled(log_std.mT, self.config.hop)[..., : mixture.shape[-1]]
        return torch.stack([shares, spread.unflatten(1, shares.shape[1:3])], dim=PARAMETERS)

    @network
    def _network(self, features: Tensor) -> tuple[list[Tensor], Tensor]:
        cells = self.split(features.mT.unflatten(2, (3 * self.channels, -1))) + self.places
        hidden = self.trunk(cells)
        return self.masks(hidden), self.log_std(hidden.mean(2))
