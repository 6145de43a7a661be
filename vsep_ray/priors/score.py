"""A score model: a denoiser at every noise level, whose log density is an integral along its own flow."""

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from vsep_ray.nn.conv import Conv, zero_init
from vsep_ray.nn.frames import with_level
from vsep_ray.nn.normal import LOG_2PI
from vsep_ray.nn.precision import network
from vsep_ray.nn.unet import UNet
from vsep_ray.priors.prior import NoiseConfig, NoiseEmbedding, Prior
from vsep_ray.transforms.stft import compress, istft, stft


@dataclass(frozen=True)
class ScoreConfig(NoiseConfig):
    """A denoiser with complex masks by a U-Net over frames; all bins of a frame enter together."""

    n_fft: int = 256
    """Each frame of the short-time Fourier transform has this number of samples."""
    hop: int = 64
    """Frames begin this number of samples apart."""
    width: int = 128
    """The U-Net has this number of channels."""
    levels: int = 1
    """The U-Net halves the frame rate this number of times."""
    blocks: int = 2
    """The U-Net has this number of residual blocks per level and direction."""
    ode_steps: int = 24
    """The integral that gives the log density takes this number of steps."""
    probes: int = 1
    """The trace in the integral of the log density is estimated by this number of random probes."""
    sample_steps: int = 32
    """A draw takes this number of steps."""
    noise_max: float = 20.0
    """The prior learns no noise level above this standard deviation (full scale is 1); all structure must
    drown in it."""

    def build(self, sample_rate: int, channels: int) -> "ScorePrior":
        """Returns the untrained prior."""
        return ScorePrior(self, sample_rate, channels)


class ScorePrior(Prior):
    r"""Score :math:`\nabla \log p_\sigma(x) = (D(x; \sigma) - x) / \sigma^2` of a learned denoiser D.

    `log_prob` is an estimate: with t = ln sigma the probability flow is dx/dt = x - D, along which

    .. math:: \log p_\sigma(x) = \log N(x_{max}; 0, \sigma_{max}^2 + \sigma_{data}^2)
        + \int_{\ln \sigma}^{\ln \sigma_{max}} (n - \mathrm{tr}\, \partial D / \partial x)\, dt,

    n = C T, the trace by fixed Rademacher probes (Hutchinson), the flow by steps that are exact where D
    changes linearly in t. Its gradient in x is the score itself, not that of the numerical integral.

    D has complex masks: per bin of the spectrum X, D = w X + sqrt(w (1 - w)) M X with w = v / (v + sigma^2),
    v and M computed by the network. That is Karras's preconditioning (c_skip = w and so on) with a data
    variance v per bin in the place of one for all.

    Shape: (B, C, T), T a multiple of ``hop``.
    Reference: Song et al., Score-based generative modeling through SDEs, 2021, eq. 39 (log density);
    Karras et al., Elucidating the design space of diffusion models (EDM), 2022, table 1 (preconditioning,
    loss weight) and algorithm 1 (sampling).
    """

    kind = "estimate"

    def __init__(self, config: ScoreConfig, sample_rate: int, channels: int) -> None:
        super().__init__(config, sample_rate, channels, config.hop)
        self.bins = config.n_fft // 2 + 1
        self.embedding = NoiseEmbedding(config.embedding)
        self.encode = Conv(3 * channels * self.bins + config.embedding, config.width, 3, padding=1)
        self.unet = UNet(config.width, config.levels, config.blocks)
        self.decode = zero_init(Conv(config.width, 3 * channels * self.bins, 1))

    def denoise(self, x: Tensor, noise_std: Tensor) -> Tensor:
        """Returns D(x; sigma), the mean of the clean waveform given x.

        Shape: (B, C, T), (B,) -> (B, C, T).
        """
        level = noise_std[:, None, None]
        spectrum = stft(x, self.config.n_fft, self.config.hop)
        scaled = spectrum * torch.rsqrt(level**2 + self.config.data_std**2)[..., None]
        features = with_level(compress(scaled, 0.3), self.embedding(noise_std))
        log_power, real, imag = self._network(features).unflatten(1, (3, self.channels, -1)).unbind(1)
        snr = log_power + 2 * torch.log(self.config.data_std / level)[..., None]  # log v / sigma^2
        spread = 0.5 / torch.cosh(0.5 * snr.clamp(-60, 60))  # sqrt(w (1 - w))
        mask = torch.complex(torch.sigmoid(snr) + spread * real, spread * imag)
        return istft(mask * spectrum, self.config.hop, x.shape[-1])

    @network
    def _network(self, features: Tensor) -> Tensor:
        return self.decode(self.unet(self.encode(features)))

    @override
    def _log_prob(self, x: Tensor, noise_std: Tensor) -> Tensor:
        value = self._integrate(x.detach(), noise_std)
        if not x.requires_grad:
            return value
        return value + ((x - x.detach()) * self.score(x, noise_std)).sum((1, 2))

    def _integrate(self, x: Tensor, noise_std: Tensor) -> Tensor:
        steps, highest = self.config.ode_steps, self.config.noise_max
        width = torch.log(highest / noise_std) / steps
        growth = torch.exp(width)[:, None, None]
        total, before = torch.zeros_like(noise_std), x.new_zeros(())
        for i in range(steps + 1):
            sigma = (noise_std * torch.exp(i * width)).clamp_max(highest)
            clean, trace = self._denoise_and_trace(x, sigma)
            ends = 0.5 if i in (0, steps) else 1.0  # the trapezoid rule
            total = total + ends * width * (x[0].numel() - trace)
            if i < steps:
                # D continued linearly from the last two points: Adams and Bashforth for dx/dt = x - D
                bend = torch.where(width > 1e-6, (growth.flatten() - 1) / width - 1, 0.5 * width)[
                    :, None, None
                ]
                slope = clean - before if i else 0.0
                x, before = clean + growth * (x - clean) - bend * slope, clean
        variance = highest**2 + self.config.data_std**2
        return total - 0.5 * (x**2 / variance + LOG_2PI + math.log(variance)).sum((1, 2))

    def _denoise_and_trace(self, x: Tensor, noise_std: Tensor) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(0)
        trace = torch.zeros_like(noise_std)
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            clean = self.denoise(x, noise_std)
            for i in range(self.config.probes):
                probe = torch.randint(2, x[:1].shape, generator=generator).to(x) * 2 - 1
                keep = i + 1 < self.config.probes
                (product,) = torch.autograd.grad((clean * probe).sum(), x, retain_graph=keep)
                trace = trace + (product * probe).sum((1, 2)) / self.config.probes
        return clean.detach(), trace

    @override
    @torch.no_grad()
    def score(self, x: Tensor, noise_std: Tensor) -> Tensor:
        self._check(x, noise_std)
        return (self.denoise(x, noise_std) - x) / noise_std[:, None, None] ** 2

    @override
    def _draw(self, length: int, noise_std: Tensor, temperature: float) -> Tensor:
        """Returns draws by Heun's method, from noise at ``noise_max`` down to the level asked for."""
        num = len(noise_std)
        ramp = torch.linspace(0, 1, self.config.sample_steps + 1).to(noise_std)
        low, high = (s ** (1 / 7) for s in (noise_std[0].item(), self.config.noise_max))  # rho = 7, EDM eq. 5
        sigmas = (high + ramp * (low - high)) ** 7
        x = temperature * sigmas[0] * torch.randn(num, self.channels, length).to(noise_std)
        for now, then in itertools.pairwise(sigmas):
            slope = (x - self.denoise(x, now.expand(num))) / now
            ahead = x + (then - now) * slope
            corrected = (ahead - self.denoise(ahead, then.expand(num))) / then
            x = x + (then - now) * 0.5 * (slope + corrected)
        return x

    @override
    def _loss(self, clean: Tensor, noisy: Tensor, noise_std: Tensor) -> dict[str, Tensor]:
        """Returns the mean of (sigma^2 + s^2) / (sigma s)^2 |D(x + sigma e) - x|^2, s = data_std, and the
        noise removed (dB).
        """
        error = ((self.denoise(noisy, noise_std) - clean) ** 2).mean((1, 2))
        weight = 1 / noise_std**2 + 1 / self.config.data_std**2
        removed = 20 * noise_std.log10() - 10 * error.detach().clamp_min(1e-20).log10()
        return {"loss": (weight * error).mean(), "noise_removed_db": removed.mean()}
