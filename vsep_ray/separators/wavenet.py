"""The non-causal WaveNet backbone: dilated gated convolutions on the waveform."""

from dataclasses import dataclass

from torch import Tensor, nn

from vsep_ray.nn.conv import Conv
from vsep_ray.nn.precision import network
from vsep_ray.nn.wavenet import GatedLayer, skips
from vsep_ray.separators.posterior import PARAMETERS, with_equal_parts


@dataclass(frozen=True)
class NonCausalWaveNetConfig:
    """Stacks of dilated gated convolutions that look to both sides, on the waveform."""

    width: int = 64
    """The gated layers have this number of channels."""
    layers: int = 18
    """The network has this number of gated layers; layer i has dilation 2^(i mod cycle)."""
    cycle: int = 9
    """The dilation starts again at 1 after this number of layers; a cycle sees 2^cycle - 1 samples to both
    sides."""
    post: int = 128
    """The two layers after the sum of the skip outputs have this number of channels."""

    def build(self, num_sources: int, channels: int) -> "NonCausalWaveNet":
        """Returns the untrained backbone."""
        return NonCausalWaveNet(self, num_sources, channels)


class NonCausalWaveNet(nn.Module):
    """share_k = m / K + f_k(m), one pass over all samples; the receptive field is finite.

    Shape: (B, C, T) -> (B, K, 2, C, T), any T >= 1.

    Reference: Rethage, Pons & Serra, A WaveNet for speech denoising, 2018, section 3; for music: Lluis, Pons
    & Serra, End-to-end music source separation, 2019.
    Deviations: equal parts of the mixture are added to the output, so that training starts there; width and
    depth are free; zeros instead of valid convolutions at the ends.
    """

    def __init__(self, config: NonCausalWaveNetConfig, num_sources: int, channels: int) -> None:
        super().__init__()
        self.config, self.multiple, self.num_sources = config, 1, num_sources
        width, post = config.width, config.post
        self.inp = Conv(channels, width, 3, padding=1)
        self.layers = nn.ModuleList(
            GatedLayer(width, 0, kernel=3, dilation=2 ** (i % config.cycle)) for i in range(config.layers)
        )
        self.post = nn.Sequential(
            nn.ReLU(), Conv(width, post, 3, padding=1),
            nn.ReLU(), Conv(post, post, 3, padding=1),
            nn.ReLU(), Conv(post, num_sources * PARAMETERS * channels, 1),
        )  # fmt: skip

    def forward(self, mixture: Tensor) -> Tensor:
        """Returns the parameters of the posterior. Shape: (B, C, T) -> (B, K, 2, C, T)."""
        return with_equal_parts(self._network(mixture), mixture, self.num_sources)

    @network
    def _network(self, mixture: Tensor) -> Tensor:
        return self.post(skips(self.layers, self.inp(mixture)))
