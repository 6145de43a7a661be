"""Invertible layers with their log-determinants, per item.

To add one: inherit from `Bijection` and implement `forward` and `inverse`; the contract test checks the
inverse and the log-determinant against automatic differentiation in float64. ``context`` is a conditioning
vector (B, E) that a layer may ignore.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from typing_extensions import override

from vsep_ray.nn.frames import fold, unfold
from vsep_ray.nn.wavenet import WaveNet
from vsep_ray.parallel import collectives


class Bijection(nn.Module, ABC):
    """y = f(x; context), invertible in x. ``ladj`` is log |det dy/dx| in nats, one per item."""

    @abstractmethod
    def forward(self, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Returns y and its log-determinant.

        Shape: (B, C, T), (B, E) -> (B, C', T') with C' T' = C T, ladj (B,).
        """

    @abstractmethod
    def inverse(self, y: Tensor, context: Tensor) -> Tensor:
        """Returns the x of a y. Shape: (B, C', T'), (B, E) -> (B, C, T)."""


class Squeeze(Bijection):
    """y[b, c * factor + i, t] = x[b, c, t * factor + i]: neighbouring samples become channels; ladj 0.

    Shape: (B, C, T) -> (B, C * factor, T / factor); T a multiple of factor.
    Reference: Dinh et al., Real NVP, 2017, section 3.6, in one dimension.
    """

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    @override
    def forward(self, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        return fold(x, self.factor), x.new_zeros(len(x))

    @override
    def inverse(self, y: Tensor, context: Tensor) -> Tensor:
        return unfold(y, self.factor)


class ActNorm(Bijection):
    """y = (x - mean) * exp(-log_std) per channel, started at the statistics of the first training batch.

    The first statistics are averaged over all workers, so that every replica starts alike.
    Shape: (B, C, T) -> (B, C, T).
    Reference: Kingma & Dhariwal, Glow, 2018, section 3.1.
    """

    started: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(channels, 1))
        self.log_std = nn.Parameter(torch.zeros(channels, 1))
        self.register_buffer("started", torch.tensor(False))

    @override
    def forward(self, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        if self.training and not self.started:
            self._start(x)
        ladj = -self.log_std.sum().expand(x.shape[0]) * x.shape[-1]
        return (x - self.mean) * torch.exp(-self.log_std), ladj

    @override
    def inverse(self, y: Tensor, context: Tensor) -> Tensor:
        return y * torch.exp(self.log_std) + self.mean

    @torch.no_grad()
    def _start(self, x: Tensor) -> None:
        count = x.new_full((x.shape[1],), x.shape[0] * x.shape[2])
        *sums, count = collectives.summed(torch.stack([x.sum((0, 2)), (x**2).sum((0, 2)), count]))
        moments = torch.stack(sums) / count
        if not torch.isfinite(moments).all():
            return  # wait for a batch that training does not skip
        variance = (moments[1] - moments[0] ** 2).clamp_min(1e-8)
        self.mean.copy_(moments[0, :, None])
        self.log_std.copy_(0.5 * variance.log()[:, None])
        self.started.fill_(True)


class InvertibleConv(Bijection):
    """y = W x over channels, W = P L (U + diag(s)), started at a random rotation.

    Shape: (B, C, T) -> (B, C, T), ladj T sum log |s|.
    Reference: Kingma & Dhariwal, Glow, 2018, eq. 10-11.
    """

    permutation: Tensor
    signs: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        rotation, _ = torch.linalg.qr(torch.randn(channels, channels))
        permutation, lower, upper = torch.linalg.lu(rotation)
        diagonal = upper.diagonal()
        self.register_buffer("permutation", permutation)
        self.register_buffer("signs", diagonal.sign())
        self.lower = nn.Parameter(lower.tril(-1))
        self.upper = nn.Parameter(upper.triu(1))
        self.log_diagonal = nn.Parameter(diagonal.abs().log())

    def _weight(self) -> Tensor:
        lower = self.lower.tril(-1) + torch.eye(len(self.signs)).to(self.lower)
        upper = self.upper.triu(1) + torch.diag(self.signs * self.log_diagonal.exp())
        return self.permutation @ lower @ upper

    @override
    def forward(self, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        ladj = self.log_diagonal.sum().expand(x.shape[0]) * x.shape[-1]
        return nn.functional.linear(x.mT, self._weight()).mT, ladj

    @override
    def inverse(self, y: Tensor, context: Tensor) -> Tensor:
        return torch.linalg.solve(self._weight(), y)


class Reverse(Bijection):
    """The channels in reverse order, the fixed permutation of NICE and RealNVP; ladj 0.

    Shape: (B, C, T) -> (B, C, T).
    """

    @override
    def forward(self, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        return x.flip(1), x.new_zeros(x.shape[0])

    @override
    def inverse(self, y: Tensor, context: Tensor) -> Tensor:
        return y.flip(1)


class Coupling(Bijection):
    """y_a = x_a, y_b = x_b * exp(log_s(x_a, context)) + t(x_a, context); an additive one has log_s = 0.

    Shape: (B, C, T) -> (B, C, T), ladj (B,); C even. The network starts at zero, the layer as the identity.
    log_s is bounded to (-2, 2) by 2 tanh(. / 2); the paper leaves it unbounded.

    Reference: Dinh et al., Density estimation using Real NVP, 2017, eq. 7-8; additive: Dinh et al., NICE,
    2015, eq. 10. Deviation: a WaveNet in place of the multilayer perceptron.
    """

    def __init__(self, channels: int, width: int, layers: int, context: int, affine: bool = True) -> None:
        super().__init__()
        self.affine = affine
        self.net = WaveNet(channels // 2, channels if affine else channels // 2, width, layers, context)

    def _law(self, a: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        raw = self.net(a, context)
        if not self.affine:
            return torch.zeros_like(raw), raw
        log_s, t = raw.chunk(2, 1)
        return 2 * torch.tanh(log_s / 2), t

    @override
    def forward(self, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        a, b = x.chunk(2, 1)
        log_s, t = self._law(a, context)
        return torch.cat([a.mT, (b * log_s.exp() + t).mT], 2).mT, log_s.sum((1, 2))

    @override
    def inverse(self, y: Tensor, context: Tensor) -> Tensor:
        a, b = y.chunk(2, 1)
        log_s, t = self._law(a, context)
        return torch.cat([a, (b - t) * torch.exp(-log_s)], 1)
