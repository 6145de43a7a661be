"""The multi-scale flow that waveform and spectrogram flows share."""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vsep_ray.config import UserError
from vsep_ray.nn.bijections import ActNorm, Bijection, Coupling, InvertibleConv, Reverse, Squeeze
from vsep_ray.nn.normal import LOG_2PI, normal
from vsep_ray.nn.wavenet import WaveNet


class MultiScaleFlow(nn.Module):
    """log p(x | c) = log N(z; 0, I) + log |det dz/dx|, z = f(scale x; c): exact.

    Per block: squeeze, ``steps`` of (ActNorm, channel mixing, coupling), then some channels leave. Those that
    leave have a normal density whose mean and scale a network computes from the channels that stay.

    Args:
        channels: of the input.
        squeeze: frames folded into channels at the start of each block, one entry per block.
        steps: flow steps per block.
        split: fraction of channels that leave after each block but the last.
        coupling: affine (RealNVP) or additive (NICE).
        mixing: invertible 1x1 convolution (Glow) or reversal (NICE, RealNVP).
        actnorm: data-dependent normalisation in front of every step.
        width, layers: of the coupling networks.
        context: length E of the conditioning vector.
        checkpointing: recompute each step in the backward pass: memory of one step, not of all.

    Raises:
        UserError: the first squeeze leaves an odd number of channels.
    Shape: x (B, channels, T), context (B, E), scale (B,); T a multiple of the product of ``squeeze``.
    Reference: Dinh et al., Real NVP, 2017, section 3.6; Kingma & Dhariwal, Glow, 2018, figure 2.
    """

    def __init__(
        self,
        channels: int,
        squeeze: tuple[int, ...],
        steps: int,
        split: float,
        coupling: Literal["affine", "additive"],
        mixing: Literal["conv", "reverse"],
        actnorm: bool,
        width: int,
        layers: int,
        context: int,
        checkpointing: bool,
    ) -> None:
        super().__init__()
        self.blocks, self.split_priors = nn.ModuleList(), nn.ModuleList()
        self.kept, self.checkpointing = list[int](), checkpointing
        for i, factor in enumerate(squeeze):
            inside = channels * factor
            if inside % 2:
                raise UserError(f"couplings halve channels; make the first squeeze of {squeeze} even")
            channels = inside if i == len(squeeze) - 1 else inside - _leaving(inside, split)
            block: list[Bijection] = [Squeeze(factor)]
            for _ in range(steps):
                block += [ActNorm(inside)] if actnorm else []
                block += [InvertibleConv(inside) if mixing == "conv" else Reverse()]
                block += [Coupling(inside, width, layers, context, affine=coupling == "affine")]
            self.blocks.append(nn.ModuleList(block))
            self.split_priors.append(_split_prior(channels, inside - channels, width, context))
            self.kept.append(channels)

    def log_prob(self, x: Tensor, context: Tensor, scale: Tensor) -> Tensor:
        """Returns the log density, nats. Shape: (B, channels, T), (B, E), (B,) -> (B,)."""
        total = scale.log() * x[0].numel()
        x = x * scale[:, None, None]
        for block, prior, kept in self._levels():
            for layer in block:
                x, ladj = self._through(layer, x, context)  # type: ignore[arg-type]
                total = total + ladj
            x, leaving = x[:, :kept], x[:, kept:]
            if isinstance(prior, WaveNet):
                mean, log_std = prior(x, context).chunk(2, 1)
                total = total + normal(mean, log_std.exp()).log_prob(leaving).sum((1, 2))
        return total - 0.5 * (x**2 + LOG_2PI).sum((1, 2))

    def sample(self, length: int, context: Tensor, scale: Tensor, temperature: float = 1.0) -> Tensor:
        """Returns draws, by one pass through the inverse.

        Shape: (B, E), (B,) -> (B, channels, length).

        Args:
            length: frames, a multiple of the product of ``squeeze``.
            context: the conditioning vectors.
            scale: what `log_prob` multiplies with; the draws are divided by it.
            temperature: factor on every standard deviation (Kingma & Dhariwal, Glow, 2018, section 6).
        """
        frames = length
        for block in self.blocks:
            frames //= block[0].factor  # type: ignore[index]
        x = temperature * torch.randn(len(context), self.kept[-1], frames).to(context)
        for block, prior, _ in reversed(list(self._levels())):
            if isinstance(prior, WaveNet):
                mean, log_std = prior(x, context).chunk(2, 1)
                leaving = mean + temperature * torch.randn(mean.shape).to(mean) * torch.exp(log_std)
                x = torch.cat([x, leaving], 1)
            for layer in reversed(block):
                x = layer.inverse(x, context)  # type: ignore[operator]
        return x / scale[:, None, None]

    def _through(self, layer: Bijection, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(layer, x, context, use_reentrant=False)  # type: ignore[return-value]
        return layer(x, context)

    def _levels(self) -> Iterator[tuple[nn.ModuleList, nn.Module, int]]:
        yield from zip(self.blocks, self.split_priors, self.kept, strict=True)  # type: ignore[misc]


def _leaving(channels: int, fraction: float) -> int:
    # even numbers only: couplings halve the channels
    return 2 * max(1, round(fraction * channels / 2)) if fraction and channels > 2 else 0


def _split_prior(kept: int, leaving: int, width: int, context: int) -> nn.Module:
    return WaveNet(kept, 2 * leaving, width, 1, context) if leaving else nn.Identity()
