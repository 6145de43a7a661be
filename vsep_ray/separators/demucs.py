"""The Demucs backbone: a strided convolutional encoder and decoder with a bidirectional LSTM between."""

from dataclasses import dataclass

from torch import Tensor, nn

from vsep_ray.nn.conv import Conv
from vsep_ray.nn.precision import network
from vsep_ray.separators.posterior import PARAMETERS, with_equal_parts

KERNEL, STRIDE = 8, 4


@dataclass(frozen=True)
class DemucsConfig:
    """Strided convolutions down and up again, with gated units, around a bidirectional LSTM."""

    levels: int = 3
    """The network divides the sample rate by 4 this number of times (the paper: 6)."""
    width: int = 32
    """The first level has this number of channels (the paper: 64 to 100)."""
    growth: float = 2.0
    """Each level has this factor more channels than the one before."""
    lstm: int = 2
    """The LSTM has this number of layers; at 0 there is none."""

    def build(self, num_sources: int, channels: int) -> "Demucs":
        """Returns the untrained backbone."""
        return Demucs(self, num_sources, channels)


class Demucs(nn.Module):
    """share_k = m / K + f_k(m); every level of the encoder is added to the decoder's input of its rate.

    The LSTM reads the whole chunk: the receptive field is not finite.

    Shape: (B, C, T) -> (B, K, 2, C, T), T a multiple of `multiple` = 4^levels.

    Reference: Defossez, Usunier, Bottou & Bach, Music source separation in the waveform domain, 2019,
    section 3.
    Deviations: equal parts of the mixture are added to the output; no rescaling of the first weights, no
    shift trick; lengths by padding instead of valid lengths.
    """

    def __init__(self, config: DemucsConfig, num_sources: int, channels: int) -> None:
        super().__init__()
        self.config, self.multiple, self.num_sources = config, STRIDE**config.levels, num_sources
        widths = [channels] + [round(config.width * config.growth**i) for i in range(config.levels)]
        outputs = [num_sources * PARAMETERS * channels, *widths[1:]]
        self.encoder = nn.ModuleList(_encode(*widths[i : i + 2]) for i in range(config.levels))
        self.decoder = nn.ModuleList(
            _decode(widths[i + 1], outputs[i], last=i == 0) for i in reversed(range(config.levels))
        )
        deepest = widths[-1]
        self.lstm = nn.LSTM(deepest, deepest, config.lstm, bidirectional=True) if config.lstm else None
        self.join = nn.Linear(2 * deepest, deepest) if config.lstm else None

    def forward(self, mixture: Tensor) -> Tensor:
        """Returns the parameters of the posterior. Shape: (B, C, T) -> (B, K, 2, C, T)."""
        return with_equal_parts(self._network(mixture), mixture, self.num_sources)

    @network
    def _network(self, mixture: Tensor) -> Tensor:
        x, skips = mixture, []
        for level in self.encoder:
            x = level(x)
            skips.append(x)
        x = self._remember(x)
        for level in self.decoder:
            x = level(x + skips.pop())
        return x

    def _remember(self, x: Tensor) -> Tensor:
        if self.lstm is None or self.join is None:
            return x
        frames, _ = self.lstm(x.permute(2, 0, 1))
        return self.join(frames).permute(1, 2, 0)


def _encode(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        Conv(inputs, outputs, KERNEL, STRIDE, padding=(KERNEL - STRIDE) // 2), nn.ReLU(),
        Conv(outputs, 2 * outputs, 1), nn.GLU(1),
    )  # fmt: skip


def _decode(inputs: int, outputs: int, last: bool) -> nn.Sequential:
    up = nn.ConvTranspose1d(inputs, outputs, KERNEL, STRIDE, padding=(KERNEL - STRIDE) // 2)
    gate = [Conv(inputs, 2 * inputs, 3, padding=1), nn.GLU(1)]
    return nn.Sequential(*gate, up, *([] if last else [nn.ReLU()]))
