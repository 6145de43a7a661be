"""An exact autoregressive density over waveforms: a causal WaveNet and the law of the next sample."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from typing_extensions import override

from vsep_ray.nn.normal import LOG_2PI
from vsep_ray.nn.wavenet import CachedWaveNet, WaveNet
from vsep_ray.transforms.mulaw import compand, expand, log_slope

TAIL = 1e-5
"""The wide normal that gives every sample value a density under `MuLaw` has this weight."""


class NextSample(nn.Module, ABC):
    """The law of one sample given the samples before it.

    To add one: set ``size``, the parameters per channel and sample that the network computes, and ``taps``,
    the number of earlier samples that it wants to see itself, and implement the methods. All laws are
    densities over the real line that integrate to 1.

    Shape: raw (..., size), lags (..., taps) oldest first, x and noise_std (...).
    """

    size: int
    taps: int

    @abstractmethod
    def encode(self, x: Tensor, noise_std: Tensor) -> Tensor:
        """Returns what the network reads in place of x."""

    @abstractmethod
    def log_prob(self, raw: Tensor, lags: Tensor, x: Tensor, noise_std: Tensor) -> Tensor:
        """Returns the log density, nats."""

    @abstractmethod
    def draw(self, raw: Tensor, lags: Tensor, u: Tensor, noise_std: Tensor, temperature: float) -> Tensor:
        """Returns a draw by inversion.

        Shape: u (..., 2), uniform in (0, 1). A temperature below 1 sharpens.
        """


class LogisticMixture(NextSample):
    """A mixture of logistics around a linear prediction, whose coefficients the network computes: sum_i pi_i
    Logistic(x; mu_i, s_i). It has mu_i = sum_j a_j x_(t-j) + o_i std_i, std_i^2 = noise_std^2 + (scale
    e^(l_i))^2 and s_i = std_i sqrt(3) / pi.

    No conditional law of x + noise_std e is narrower than the noise, so the noise's variance is built in.

    Args:
        components: number of logistics.
        taps: order of the linear prediction (samples).
        scale: rough standard deviation of the clean waveform.

    Reference: Salimans et al., PixelCNN++, 2017, section 2.1; here a continuous density, not a binned one.
    """

    def __init__(self, components: int, taps: int, scale: float) -> None:
        super().__init__()
        self.components, self.taps, self.scale = components, taps, scale
        self.size = 3 * components + taps

    @override
    def encode(self, x: Tensor, noise_std: Tensor) -> Tensor:
        """Returns x / sqrt(noise_std^2 + scale^2)."""
        return x * torch.rsqrt(noise_std**2 + self.scale**2)

    def _components(self, raw: Tensor, lags: Tensor, noise_std: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits, offset, log_scale, coefficients = raw.split([self.components] * 3 + [self.taps], -1)
        std = torch.sqrt(noise_std[..., None] ** 2 + (self.scale * log_scale.clamp(-12, 3).exp()) ** 2)
        mean = (coefficients * lags).sum(-1, keepdim=True) + offset * std
        return logits, mean, std * (math.sqrt(3) / math.pi)

    @override
    def log_prob(self, raw: Tensor, lags: Tensor, x: Tensor, noise_std: Tensor) -> Tensor:
        logits, mean, scale = self._components(raw, lags, noise_std)
        z = ((x[..., None] - mean) / scale).abs()  # the logistic is even; this side never overflows
        density = -z - 2 * torch.log1p(torch.exp(-z)) - scale.log()
        return torch.logsumexp(torch.log_softmax(logits, -1) + density, -1)

    @override
    def draw(self, raw: Tensor, lags: Tensor, u: Tensor, noise_std: Tensor, temperature: float) -> Tensor:
        logits, mean, scale = self._components(raw, lags, noise_std)
        chosen = _invert(torch.softmax(logits / temperature, -1), u[..., 0])
        z = torch.logit(u[..., 1]) * temperature
        return mean.gather(-1, chosen)[..., 0] + z * scale.gather(-1, chosen)[..., 0]


class MuLaw(NextSample):
    """A categorical over 256 mu-law codes, made a density: it interpolates linearly between the codes'
    heights on the companded axis.

    p(x) = (1 - TAIL) du/dx sum_i pi_i tri((u - c_i) / d) / d + TAIL N(x; 0, 1 + noise_std^2), u = compand(x).
    The triangles integrate to 1 and overlap, which gives every sample a true gradient; a hard-binned
    categorical has none. The wide normal covers what is louder than full scale.

    Args:
        levels: number of codes.

    Reference: van den Oord et al., WaveNet, 2016, section 2.2; the interpolation is ours.
    """

    taps = 0

    def __init__(self, levels: int = 256) -> None:
        super().__init__()
        self.size, self.step = levels, 2 / (levels - 1)

    @override
    def encode(self, x: Tensor, noise_std: Tensor) -> Tensor:
        """Returns the companded scalar: a one-hot code would cut the gradient."""
        return compand(x)

    @override
    def log_prob(self, raw: Tensor, lags: Tensor, x: Tensor, noise_std: Tensor) -> Tensor:
        place = (compand(x) + 1) / self.step
        below = place.detach().floor()
        above = place - below
        log_pi = torch.log_softmax(raw, -1)
        low = self._at(log_pi, below) * (1 - above)
        high = self._at(log_pi, below + 1) * above
        std = torch.sqrt(1 + noise_std**2)
        tail = TAIL * torch.exp(-0.5 * ((x / std) ** 2 + LOG_2PI)) / std
        return torch.log((1 - TAIL) * (low + high) / self.step * log_slope(x).exp() + tail)

    def _at(self, log_pi: Tensor, code: Tensor) -> Tensor:
        index = code.clamp(0, self.size - 1).long()
        return log_pi.gather(-1, index[..., None])[..., 0].exp() * (code == index)

    @override
    def draw(self, raw: Tensor, lags: Tensor, u: Tensor, noise_std: Tensor, temperature: float) -> Tensor:
        code = _invert(torch.softmax(raw / temperature, -1), u[..., 0])[..., 0]
        v = 2 * u[..., 1] - 1  # tri^-1: the sum of two uniforms, inverted
        triangle = torch.sign(v) * (1 - torch.sqrt(1 - v.abs()))
        inside = expand(code * self.step - 1 + temperature * self.step * triangle)
        tail = torch.sqrt(1 + noise_std**2) * torch.special.ndtri(u[..., 1])
        return torch.where(u[..., 0] < TAIL * temperature, tail, inside)


class Autoregressive(nn.Module):
    """log p(x | c) = sum_t log p(x_t | x_<t, c): exact. Channels are independent given the past of all.

    Args:
        channels: audio channels C.
        law: the law of the next sample.
        width, layers, cycle: of the causal `WaveNet`, seeing layers / cycle (2^cycle - 1) + 1 samples back.
        context: channels E of the conditioning.

    Shape: x (B, C, T), context (B, E) or (B, E, T), noise_std (B,).
    """

    def __init__(
        self, channels: int, law: NextSample, width: int, layers: int, cycle: int, context: int
    ) -> None:
        super().__init__()
        self.channels, self.law = channels, law
        # one input says where the signal begins: silence before it and silence in it are not the same
        self.net = WaveNet(channels + 1, channels * law.size, width, layers, context, 2, cycle, causal=True)

    def log_prob(self, x: Tensor, context: Tensor, noise_std: Tensor) -> Tensor:
        """Returns the log density, nats summed over C and T. Shape: (B, C, T), (B, E[, T]), (B,) -> (B,)."""
        raw, lags = self.laws(x, context, noise_std)
        return self.law.log_prob(raw, lags, x, noise_std[:, None, None]).sum((1, 2))

    def laws(self, x: Tensor, context: Tensor, noise_std: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the parameters of the law of every sample, and the samples before it.

        Shape: (B, C, T), ... -> raw (B, C, T, size), lags (B, C, T, taps).
        """
        inputs = torch.cat([self.law.encode(x, noise_std[:, None, None]), torch.ones_like(x[:, :1])], 1)
        past = nn.functional.pad(inputs, (1, 0))[..., :-1]
        raw = self.net(past, context).unflatten(1, (self.channels, -1)).transpose(2, 3)
        taps = self.law.taps
        return raw, nn.functional.pad(x, (taps, 0)).unfold(-1, taps, 1)[..., : x.shape[-1], :]

    def sample(
        self, length: int, context: Tensor, noise_std: Tensor, temperature: float = 1.0, warm: int = 0
    ) -> Tensor:
        """Returns draws, made sample by sample; the first ``warm`` samples have temperature 1.

        Shape: context (B, E) or (B, E, T), noise_std (B,) -> (B, C, length).
        """
        u = uniforms(len(noise_std), self.channels, length, noise_std)
        with torch.inference_mode():
            x = self._draw(u, context, noise_std, [1.0] * warm + [temperature] * length)
        return x.clone()  # an ordinary tensor again, which may enter a gradient

    def _draw(self, u: Tensor, context: Tensor, noise_std: Tensor, heat: list[float]) -> Tensor:
        taps, length, net = self.law.taps, u.shape[2], CachedWaveNet(self.net, context)
        level = noise_std[:, None].expand(-1, self.channels)
        x = u.new_zeros(len(u), self.channels, taps + length)
        inputs = u.new_zeros(len(u), self.channels + 1)
        for t in range(length):
            raw = net.step(inputs).unflatten(1, (self.channels, -1))
            new = self.law.draw(raw, x[..., t : t + taps], u[:, :, t], level, heat[t])
            x[..., taps + t] = new
            inputs = torch.cat([self.law.encode(new, level), torch.ones_like(new[:, :1])], 1)
        return x[..., taps:]


def uniforms(num: int, channels: int, length: int, like: Tensor) -> Tensor:
    """Returns the uniform numbers that `Autoregressive.sample` consumes.

    Shape: -> (num, channels, length, 2).
    """
    return torch.rand(num, channels, length, 2).to(like).clamp(1e-7, 1 - 1e-7)


def _invert(probabilities: Tensor, u: Tensor) -> Tensor:
    """Returns the first index whose cumulative probability exceeds u. Shape: (..., n), (...) -> (..., 1)."""
    reached = (probabilities.cumsum(-1) < u[..., None]).sum(-1, keepdim=True)
    return reached.clamp_max(probabilities.shape[-1] - 1)
