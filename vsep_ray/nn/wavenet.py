"""WaveNet stacks: gated dilated convolutions with skip connections, conditioned on a vector or a sequence."""

import torch
from torch import Tensor, nn

from vsep_ray.nn.conv import Conv, zero_init
from vsep_ray.nn.precision import network


class GatedLayer(nn.Module):
    """tanh(filter) * sigmoid(gate) with a residual and a skip output.

    Args:
        width: channels of the network.
        context: channels E of the conditioning; 0: none.
        kernel: taps of the dilated convolution.
        dilation: samples between them.
        causal: output t sees inputs up to t; otherwise equally many on both sides (odd kernels).

    Shape: x (B, width, T), context (B, E, T), (B, E, 1) or None -> residual and skip (B, width, T).
    Reference: van den Oord et al., WaveNet, 2016, eq. 2 and figure 4 (conditioning: eq. 3).
    """

    def __init__(self, width: int, context: int, kernel: int, dilation: int, causal: bool = False) -> None:
        super().__init__()
        span = dilation * (kernel - 1)
        self.padding = (span, 0) if causal else (span // 2, span // 2)
        self.dilated = Conv(width, 2 * width, kernel, dilation=dilation)
        self.context = Conv(context, 2 * width, 1) if context else None
        self.out = Conv(width, 2 * width, 1)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Returns the residual and the skip output.

        Shape: (B, width, T), (B, E, T or 1) -> (B, width, T), (B, width, T).
        """
        # padded and divided along the last axis, as it lies in memory (`vsep_ray.nn.conv`)
        hidden = self.dilated(nn.functional.pad(x.mT, (0, 0, *self.padding)).mT).mT
        if self.context is not None and context is not None:
            hidden = hidden + self.context(context).mT
        filters, gates = hidden.chunk(2, 2)
        residual, skip = self.out((torch.tanh(filters) * torch.sigmoid(gates)).mT).mT.chunk(2, 2)
        return x + residual.mT, skip.mT


def skips(layers: nn.ModuleList, x: Tensor, context: Tensor | None = None) -> Tensor:
    """Returns the sum of the skip outputs of `GatedLayer`s, each of which reads the residual before it.

    Shape: (B, width, T), (B, E, T or 1) -> (B, width, T).
    """
    total = torch.zeros_like(x, dtype=torch.promote_types(x.dtype, torch.float32))
    for layer in layers:
        x, skip = layer(x, context)
        total = total + skip
    return total


class WaveNet(nn.Module):
    """A WaveNet stack whose output starts at zero. It is the coupling network of audio flows or, if
    ``causal``, the body of an autoregressive model, which `CachedWaveNet` runs sample by sample.

    Args:
        inputs, outputs: channels in and out.
        width: channels of the network.
        layers: number of gated layers; dilation 2^(i mod cycle).
        context: channels E of the conditioning.
        kernel: taps of each dilated convolution (odd unless causal).
        cycle: layers after which the dilation starts again at 1.
        causal: output t sees inputs up to and including t.

    Shape: x (B, inputs, T), context (B, E), (B, E, 1) or (B, E, T) -> (B, outputs, T).
    Reference: Prenger et al., WaveGlow, 2019, section 2.1; Kim et al., FloWaveNet, 2019, section 3.2; causal:
    van den Oord et al., WaveNet, 2016, section 2.
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
        causal: bool = False,
    ) -> None:
        super().__init__()
        self.inp = Conv(inputs, width, 1)
        self.layers = nn.ModuleList(
            GatedLayer(width, context, kernel, 2 ** (i % cycle), causal) for i in range(layers)
        )
        self.out = zero_init(Conv(width, outputs, 1))

    @network
    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Returns the output of all layers.

        Shape: (B, inputs, T), (B, E) or (B, E, T or 1) -> (B, outputs, T).
        """
        context = context[..., None] if context.ndim == 2 else context
        return self.out(torch.relu(skips(self.layers, self.inp(x), context)))


class CachedWaveNet:
    """A causal `WaveNet` that runs one sample at a time. Each layer keeps the inputs that its later taps will
    ask for, so that a sample costs O(layers), not O(layers x samples before it).

    Args:
        net: the causal stack; its weights are read once, here.
        context: (B, E) or (B, E, T or 1); T is what may be generated.

    Reference: Paine et al., Fast WaveNet generation algorithm, 2016.
    """

    def __init__(self, net: WaveNet, context: Tensor) -> None:
        context = context[..., None] if context.ndim == 2 else context
        self.inp, self.out = _matrix(net.inp), _matrix(net.out)
        self.layers = [_CachedLayer(layer, context) for layer in net.layers]  # type: ignore[arg-type]
        self.time = 0

    def step(self, x: Tensor) -> Tensor:
        """Returns the output at the next sample. Shape: (B, inputs) -> (B, outputs)."""
        x = torch.addmm(self.inp[1], x, self.inp[0])
        total = torch.zeros_like(x)
        for layer in self.layers:
            x, skip = layer.step(x, self.time)
            total += skip
        self.time += 1
        return torch.addmm(self.out[1], total.relu_(), self.out[0])


class _CachedLayer:
    """One layer's weights and the inputs that it will need again. Since sigmoid(g) = (1 + tanh(g / 2)) / 2,
    one tanh serves filter and gate: at one sample a time the number of calls is what costs.
    """

    def __init__(self, layer: GatedLayer, context: Tensor) -> None:
        self.dilation, self.span = layer.dilated.dilation[0], layer.padding[0]
        self.taps = layer.dilated.kernel_size[0]
        weight, bias = _matrix(layer.dilated)
        halves = torch.ones_like(bias)
        halves[len(bias) // 2 :] = 0.5
        self.weight = weight * halves
        assert layer.context is not None
        moved = (layer.context(context) + bias[:, None]) * halves[:, None]
        self.context = moved.permute(2, 0, 1).contiguous().unbind()
        out, self.bias = _matrix(layer.out)
        self.out = 0.5 * out
        self.past = [context.new_zeros(len(context), layer.out.in_channels)] * self.span

    def step(self, x: Tensor, time: int) -> tuple[Tensor, Tensor]:
        late = [self.past[(time - j * self.dilation) % self.span] for j in range(self.taps - 1, 0, -1)]
        context = self.context[min(time, len(self.context) - 1)]
        filters, gates = torch.addmm(context, torch.cat([*late, x], 1), self.weight).tanh_().chunk(2, 1)
        if self.span:
            self.past[time % self.span] = x
        residual, skip = torch.addmm(self.bias, torch.addcmul(filters, filters, gates), self.out).chunk(2, 1)
        return x + residual, skip


def _matrix(conv: nn.Conv1d) -> tuple[Tensor, Tensor]:
    """Returns the weight as (taps x inputs, outputs), oldest tap first, and the bias."""
    assert conv.bias is not None
    return conv.weight.permute(2, 1, 0).reshape(-1, conv.out_channels).contiguous(), conv.bias
