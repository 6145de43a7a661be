"""A beta-VAE over frames of the waveform, with the importance-weighted bound."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from typing_extensions import override

from vsep_ray.nn.frames import FrameStack, fold, unfold, with_level
from vsep_ray.nn.normal import normal
from vsep_ray.parallel import random
from vsep_ray.priors.prior import (
    DifferentiablePrior,
    NoiseConfig,
    NoiseEmbedding,
    above_noise,
    unit_scale,
)


@dataclass(frozen=True)
class VAEConfig(NoiseConfig):
    """A variational autoencoder with one latent vector per frame."""

    hop: int = 64
    """Each latent frame covers this number of samples."""
    latent: int = 8
    """Each latent vector has this length."""
    width: int = 128
    """Encoder and decoder have this number of channels."""
    blocks: int = 4
    """The encoder and the decoder each have this number of residual blocks."""
    beta: float = 1.0
    """The KL divergence has this weight in the loss (nats against nats); 1 gives the evidence lower bound."""
    draws: int = 8
    """The bound that is returned as the log density averages over this number of importance samples; 1 gives
    the evidence lower bound."""

    def build(self, sample_rate: int, channels: int) -> "VAEPrior":
        """Returns the untrained prior."""
        return VAEPrior(self, sample_rate, channels)


class Encoder(nn.Module):
    """q(z | x, sigma) = N(mean, std^2), one vector per frame. Shape: (B, C, T), (B,) -> twice (B, L, N)."""

    def __init__(self, config: VAEConfig, channels: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = NoiseEmbedding(config.embedding)
        self.net = FrameStack(
            channels * config.hop + config.embedding, 2 * config.latent, config.width, config.blocks
        )

    def forward(self, x: Tensor, noise_std: Tensor) -> tuple[Tensor, Tensor]:
        """Returns mean and std of the latent vectors. Shape: (B, C, T), (B,) -> (B, L, N), (B, L, N)."""
        scale = unit_scale(noise_std, self.config.data_std)[:, None, None]
        frames = with_level(fold(x * scale, self.config.hop), self.embedding(noise_std))
        mean, log_std = self.net(frames).chunk(2, 1)
        return mean, log_std.clamp(-10, 3).exp()


class Decoder(nn.Module):
    """p(clean x | z) = N(mean, std^2), std per channel and frame. Shape: (B, L, N) -> twice (B, C, T)."""

    def __init__(self, config: VAEConfig, channels: int) -> None:
        super().__init__()
        self.config, self.channels = config, channels
        self.net = FrameStack(config.latent, channels * (config.hop + 1), config.width, config.blocks)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Returns mean and std of the clean waveform. Shape: (B, L, N) -> (B, C, T), (B, C, T)."""
        mean, log_std = self.net(z).split([self.channels * self.config.hop, self.channels], 1)
        std = self.config.data_std * log_std.clamp(-10, 3).exp().repeat_interleave(self.config.hop, -1)
        return unfold(mean, self.config.hop) * self.config.data_std, std


class VAEPrior(DifferentiablePrior):
    """log p_sigma(x) >= log 1/S sum_s p(z_s) p_sigma(x | z_s) / q(z_s | x, sigma), z_s ~ q: a bound.

    p(z) = N(0, I). The decoder describes the clean waveform; under noise its variance grows by sigma^2, so
    one decoder serves every noise level, and only the encoder reads sigma. The draws are fixed, the same for
    every item, so that equal inputs have equal bounds.

    Shape: (B, C, T), T a multiple of ``hop``.
    Reference: Kingma & Welling, Auto-encoding variational Bayes, 2014, eq. 3; Higgins et al., beta-VAE, 2017,
    eq. 4; Burda et al., Importance weighted autoencoders, 2016, eq. 8; the temporal encoder: Engel et al.,
    NSynth, 2017, section 2.1.
    Deviations from NSynth: frames enter folded, not pooled from sample rate; a normal decoder, no WaveNet.
    """

    kind = "bound"

    def __init__(self, config: VAEConfig, sample_rate: int, channels: int) -> None:
        super().__init__(config, sample_rate, channels, config.hop)
        self.encoder: nn.Module = Encoder(config, channels)
        self.decoder: nn.Module = Decoder(config, channels)

    @override
    def _log_prob(self, x: Tensor, noise_std: Tensor) -> Tensor:
        """Returns the importance-weighted bound, nats, which rises with the number of draws."""
        draws = self.config.draws
        mean, std = self.encoder(x, noise_std)
        generator = torch.Generator().manual_seed(0)
        shape = (draws, 1, *mean.shape[1:])
        e = torch.randn(shape, generator=generator, dtype=mean.dtype).to(mean)
        z = mean + std * e
        log_weight = (0.5 * (e**2 - z**2) + std.log()).sum((2, 3))  # log p(z) - log q(z | x)
        given = self._log_given(
            x.expand(draws, *x.shape).flatten(0, 1), z.flatten(0, 1), noise_std.repeat(draws)
        )
        return torch.logsumexp(log_weight + given.unflatten(0, (draws, -1)), 0) - math.log(draws)

    def _log_given(self, x: Tensor, z: Tensor, noise_std: Tensor) -> Tensor:
        mean, std = self.decoder(z)
        total = torch.sqrt(std**2 + noise_std[:, None, None] ** 2)
        return normal(mean, total).log_prob(x).sum((1, 2))

    @override
    def _draw(self, length: int, noise_std: Tensor, temperature: float) -> Tensor:
        """Returns draws of the decoder's law at z ~ N(0, I)."""
        shape = (len(noise_std), self.config.latent, length // self.config.hop)
        mean, std = self.decoder(temperature * torch.randn(shape).to(noise_std))
        spread = temperature * torch.sqrt(std**2 + noise_std[:, None, None] ** 2)
        return mean + spread * torch.randn(mean.shape).to(noise_std)

    @override
    def _loss(self, clean: Tensor, noisy: Tensor, noise_std: Tensor) -> dict[str, Tensor]:
        """Returns -E_q log p_sigma(x + sigma e | z) + beta KL(q || p) in nats per sample, and its two parts,
        distortion and rate.
        """
        mean, std = self.encoder(noisy, noise_std)
        z = mean + std * random.normal(mean.shape, mean)
        distortion = -self._log_given(noisy, z, noise_std) / clean[0].numel()
        rate = (0.5 * (mean**2 + std**2 - 1) - std.log()).sum((1, 2)) / clean[0].numel()
        return {
            "loss": (distortion + self.config.beta * rate).mean(),
            "distortion": distortion.mean().detach(),
            "rate": rate.mean().detach(),
            "nats_above_noise": above_noise(distortion + rate, noise_std).mean().detach(),
        }
