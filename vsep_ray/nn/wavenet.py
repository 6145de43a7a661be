"""The WaveNet stack: gated dilated convolutions with skip connections and a conditioning vector."""

import torch
from torch import Tensor, nn

from vsep_ray.nn.conv import zero_init


class GatedLayer(nn.Module):
    """tanh(filter) * sigmoid(gate) with a residual and a skip output.

    Shape: x (B, width, T), context (B, E) -> residual (B, width, T), skip (B, width, T).
    Reference: van den Oord et al., WaveNet, 2016, eq. 2 and figure 4 (conditioning: eq. 3).
    """

    def __init__(self, width: int, context: int, kernel: int, dilation: int) -> None:
        super().__init__()
        padding = dilation * (kernel - 1) // 2
        self.dilated = nn.Conv1d(width, 2 * width, kernel, padding=padding, dilation=dilation)
        self.context = nn.Linear(context, 2 * width)
        self.out = nn.Conv1d(width, 2 * width, 1)

    def forward(self, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Shape: (B, width, T), (B, E) -> (B, width, T), (B, width, T)."""
        filters, gates = (self.dilated(x) + self.context(context)[..., None]).chunk(2, 1)
        residual, skip = self.out(torch.tanh(filters) * torch.sigmoid(gates)).chunk(2, 1)
        return x + residual, skip


class WaveNet(nn.Module):
    """A non-causal WaveNet stack with zero-initialised output, the coupling network of audio flows.

    Args:
        inputs, outputs: channels in and out.
        width: channels of the network.
        layers: number of gated layers; dilation 2^(i mod cycle).
        context: length E of the conditioning vector.
        kernel: taps of each dilated convolution (odd).
        cycle: layers after which the dilation starts again at 1.

    Shape: x (B, inputs, T), context (B, E) -> (B, outputs, T).
    Reference: Prenger et al., WaveGlow, 2019, section 2.1; Kim et al., FloWaveNet, 2019, section 3.2.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int,
        layers: int,
        context: int,
        kernel: int = 3,
        cycle: int = 8,
    ) -> None:
        super().__init__()
        self.inp = nn.Conv1d(inputs, width, 1)
        self.layers = nn.ModuleList(
            GatedLayer(width, context, kernel, 2 ** (i % cycle)) for i in range(layers)
        )
        self.out = zero_init(nn.Conv1d(width, outputs, 1))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Shape: (B, inputs, T), (B, E) -> (B, outputs, T)."""
        x = self.inp(x)
        total = torch.zeros_like(x)
        for layer in self.layers:
            x, skip = layer(x, context)
            total = total + skip
        return self.out(torch.relu(total))
