"""The spectrogram U-Net backbone: complex masks from compressed spectra."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vsep_ray.nn.conv import Conv
from vsep_ray.nn.precision import network
from vsep_ray.nn.unet import UNet
from vsep_ray.separators.posterior import PARAMETERS
from vsep_ray.transforms.stft import compress, istft, stft


@dataclass(frozen=True)
class SpectrogramUNetConfig:
    """Complex masks by a U-Net over frames; all bins of a frame enter together as channels."""

    n_fft: int = 512
    """Each frame of the short-time Fourier transform has this number of samples."""
    hop: int = 128
    """Frames begin this number of samples apart."""
    width: int = 192
    """The U-Net has this number of channels."""
    levels: int = 1
    """The U-Net halves the frame rate this number of times."""
    blocks: int = 3
    """The U-Net has this number of residual blocks per level and direction."""
    compression: float = 0.3
    """The network reads magnitudes raised to this power."""

    def build(self, num_sources: int, channels: int) -> "SpectrogramUNet":
        """Returns the untrained backbone."""
        return SpectrogramUNet(self, num_sources, channels)


class SpectrogramUNet(nn.Module):
    """share_k = istft(M_k stft(m)), M complex; log std per source, channel and frame, interpolated linearly.

    Input features per bin: r, r cos(phase), r sin(phase) with r = |X|^compression. The masks start at 1/K,
    the shares at equal parts.

    Shape: (B, C, T) -> (B, K, 2, C, T); T a multiple of `multiple`.

    Reference: Jansson et al., Singing voice separation with deep U-Net convolutional networks, 2017;
    compressed input: Yin et al., PHASEN, 2020.
    Deviations: one axis (bins are channels, since the harmonics of one tone lie far apart), complex masks,
    residual blocks, no dropout.
    """

    def __init__(self, config: SpectrogramUNetConfig, num_sources: int, channels: int) -> None:
        super().__init__()
        self.config, self.multiple = config, config.hop
        self.num_sources, self.channels = num_sources, channels
        bins = config.n_fft // 2 + 1
        self.encode = Conv(3 * channels * bins, config.width, 3, padding=1)
        self.unet = UNet(config.width, config.levels, config.blocks)
        self.masks = Conv(config.width, num_sources * channels * bins * 2, 1)
        self.log_std = Conv(config.width, num_sources * channels, 1)

    def forward(self, mixture: Tensor) -> Tensor:
        """Returns the parameters of the posterior. Shape: (B, C, T) -> (B, K, 2, C, T)."""
        spectrum = stft(mixture, self.config.n_fft, self.config.hop)
        raw, log_std = self._network(compress(spectrum, self.config.compression))
        pairs = raw.mT.unflatten(2, (self.num_sources, *spectrum.shape[1:3], 2))
        masks = torch.view_as_complex(pairs).permute(0, 2, 3, 1, 4).mT + 1 / self.num_sources
        shares = istft(masks * spectrum.unsqueeze(1), self.config.hop, mixture.shape[-1])
        spread = upsampled(log_std, self.config.hop)[..., : mixture.shape[-1]]
        return torch.stack([shares, spread.unflatten(1, shares.shape[1:3])], dim=PARAMETERS)

    @network
    def _network(self, features: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.unet(self.encode(features))
        return self.masks(hidden), self.log_std(hidden)


def upsampled(frames: Tensor, hop: int) -> Tensor:
    """Returns the frames interpolated linearly, frame n at sample n hop.

    Shape: (B, W, N) -> (B, W, (N - 1) hop + 1).
    """
    return nn.functional.interpolate(
        frames, (frames.shape[-1] - 1) * hop + 1, mode="linear", align_corners=True
    )
