"""A VQ-VAE: discrete codes with a prior of their own, and a WaveNet that turns them into a waveform."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from typing_extensions import override

from vsep_ray.nn.autoregressive import Autoregressive, LogisticMixture
from vsep_ray.nn.frames import FrameStack, fold, with_level
from vsep_ray.nn.vq import Codebook, perplexity
from vsep_ray.nn.wavenet import CachedWaveNet, WaveNet
from vsep_ray.priors.prior import (
    DifferentiablePrior,
    NoiseConfig,
    NoiseEmbedding,
    above_noise,
    unit_scale,
)
from vsep_ray.transforms.mfcc import mfcc

COEFFICIENTS = 13


@dataclass(frozen=True)
class VQVAEConfig(NoiseConfig):
    """Discrete codes per frame, their prior, and an autoregressive decoder."""

    encoder: Literal["waveform", "mfcc"] = "waveform"
    """The encoder reads the samples of a frame (waveform) or 13 mel-frequency cepstral coefficients
    (mfcc)."""
    hop: int = 64
    """Each code covers this number of samples."""
    codes: int = 128
    """The codebook has this number of codes."""
    dim: int = 16
    """Each code is a vector of this length."""
    encoder_width: int = 96
    """The encoder and the prior of the codes have this number of channels."""
    blocks: int = 3
    """The encoder has this number of residual blocks."""
    prior_layers: int = 5
    """The prior of the codes has this number of gated layers over frames."""
    width: int = 32
    """The decoder has this number of channels."""
    layers: int = 8
    """The decoder has this number of gated layers; it sees 2^layers samples back."""
    components: int = 4
    """The law of the next sample is a mixture of this number of logistics."""
    taps: int = 32
    """The decoder's linear prediction reads this number of samples before the next one."""
    decay: float = 0.98
    """The codebook's moving averages keep this share of their value at each step."""
    commitment: float = 0.25
    """The distance between the encoder's vectors and their codes has this weight in the loss."""

    def build(self, sample_rate: int, channels: int) -> "VQVAEPrior":
        """Returns the untrained prior."""
        return VQVAEPrior(self, sample_rate, channels)


class VQVAEPrior(DifferentiablePrior):
    """log p_sigma(x) >= log p_sigma(x | c) + log P_sigma(c), c the codes of x. This is a bound, since p(x) is
    the sum of p(x | c) P(c) over all codes.

    Both parts are autoregressive and exact: the decoder over samples, the code prior over frames. The bound's
    gradient in x is that of the decoder: codes are constant where they do not jump.

    Shape: (B, C, T), T a multiple of ``hop``.
    Reference: Chorowski et al., Unsupervised speech representation learning using WaveNet autoencoders, 2019,
    section III; van den Oord et al., VQ-VAE, 2017.
    Deviations: the code prior is trained together with the rest; frames enter folded, not through strided
    convolutions; coefficients without their differences; no speaker.
    """

    kind = "bound"

    def __init__(self, config: VQVAEConfig, sample_rate: int, channels: int) -> None:
        super().__init__(config, sample_rate, channels, config.hop)
        self.embedding = NoiseEmbedding(config.embedding)
        features = channels * (config.hop if config.encoder == "waveform" else COEFFICIENTS)
        self.encoder = FrameStack(
            features + config.embedding, config.dim, config.encoder_width, config.blocks
        )
        self.codebook = Codebook(config.codes, config.dim, config.decay)
        self.code_prior = WaveNet(
            config.dim + 1, config.codes, config.encoder_width, config.prior_layers, config.embedding, 2,
            causal=True,
        )  # fmt: skip
        self.decoder = Autoregressive(
            channels, LogisticMixture(config.components, config.taps, config.data_std), config.width,
            config.layers, config.layers, config.embedding + config.dim,
        )  # fmt: skip

    def encode(self, x: Tensor, noise_std: Tensor) -> Tensor:
        """Returns the encoder's vectors before they are quantised. Shape: (B, C, T), (B,) -> (B, D, N)."""
        if self.config.encoder == "waveform":
            scale = unit_scale(noise_std, self.config.data_std)[:, None, None]
            frames = fold(x * scale, self.config.hop)
        else:
            frames = mfcc(x, self.sample_rate, self.config.hop, coefficients=COEFFICIENTS).flatten(1, 2)
        return self.encoder(with_level(frames, self.embedding(noise_std)))

    @override
    def _log_prob(self, x: Tensor, noise_std: Tensor) -> Tensor:
        with torch.no_grad():
            codes = self.codebook.nearest(self.encode(x, noise_std))
        given = self._log_given(x, self.codebook.lookup(codes), noise_std)
        return given + self._log_codes(codes, noise_std)

    def _log_given(self, x: Tensor, vectors: Tensor, noise_std: Tensor) -> Tensor:
        return self.decoder.log_prob(x, self._context(vectors, noise_std), noise_std)

    def _context(self, vectors: Tensor, noise_std: Tensor) -> Tensor:
        return with_level(vectors, self.embedding(noise_std)).repeat_interleave(self.config.hop, -1)

    def _log_codes(self, codes: Tensor, noise_std: Tensor) -> Tensor:
        past = torch.nn.functional.pad(_started(self.codebook.lookup(codes)), (1, 0))[..., :-1]
        log_probs = torch.log_softmax(self.code_prior(past, self.embedding(noise_std)), 1)
        return log_probs.gather(1, codes[:, None]).sum((1, 2))

    @override
    def _draw(self, length: int, noise_std: Tensor, temperature: float) -> Tensor:
        """Returns draws of the decoder, for codes that are drawn from their prior."""
        codes = self._sample_codes(length // self.config.hop, noise_std, temperature)
        context = self._context(self.codebook.lookup(codes), noise_std)
        return self.decoder.sample(length, context, noise_std, temperature)

    def _sample_codes(self, frames: int, noise_std: Tensor, temperature: float = 1.0) -> Tensor:
        net = CachedWaveNet(self.code_prior, self.embedding(noise_std))
        inputs = noise_std.new_zeros(len(noise_std), self.config.dim + 1)
        codes = []
        for _ in range(frames):
            codes.append(torch.multinomial(torch.softmax(net.step(inputs) / temperature, -1), 1))
            inputs = _started(self.codebook.lookup(codes[-1]))[..., 0]
        return torch.cat(codes, 1)

    @override
    def _loss(self, clean: Tensor, noisy: Tensor, noise_std: Tensor) -> dict[str, Tensor]:
        """Returns the negative bound of x + sigma e in nats per sample plus the commitment, and their parts.
        Where all codes are in use, the perplexity is ``codes``.
        """
        encoded = self.encode(noisy, noise_std)
        vectors, codes = self.codebook(encoded)
        distortion = -self._log_given(noisy, vectors, noise_std) / clean[0].numel()
        rate = -self._log_codes(codes, noise_std) / clean[0].numel()
        commitment = (encoded - vectors.detach()).square().mean()
        return {
            "loss": (distortion + rate).mean() + self.config.commitment * commitment,
            "distortion": distortion.mean().detach(),
            "rate": rate.mean().detach(),
            "nats_above_noise": above_noise(distortion + rate, noise_std).mean().detach(),
            "commitment": commitment.detach(),
            "perplexity": perplexity(codes, self.config.codes),
        }


def _started(vectors: Tensor) -> Tensor:
    """Returns the vectors and a channel of ones, which tells the first code from those after it.

    Shape: (B, D, N) -> (B, D + 1, N).
    """
    return torch.cat([vectors, torch.ones_like(vectors[:, :1])], 1)
