"""WaveNet: the autoregressive density over the waveform, at every noise level."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from typing_extensions import override

from vsep_ray.nn.autoregressive import Autoregressive, LogisticMixture, MuLaw
from vsep_ray.priors.prior import ExactPrior, NoiseConfig, NoiseEmbedding


@dataclass(frozen=True)
class WaveNetConfig(NoiseConfig):
    """An autoregressive density: a causal gated stack and the law of the next sample."""

    output: Literal["logistics", "mulaw"] = "logistics"
    """The next sample follows a mixture of logistics around a linear prediction, or 256 mu-law codes (for
    waveforms within +-1)."""
    width: int = 48
    """The network has this number of channels."""
    layers: int = 9
    """The network has this number of gated layers."""
    cycle: int = 9
    """The dilation starts again at 1 after this number of layers; each cycle sees 2^cycle samples back."""
    components: int = 4
    """The mixture has this number of logistics."""
    taps: int = 64
    """The linear prediction reads this number of samples before the next one."""
    warm: int = 48
    """The first samples of a draw have temperature 1 in any case, up to this number."""

    def build(self, sample_rate: int, channels: int) -> "WaveNetPrior":
        """Returns the untrained prior."""
        return WaveNetPrior(self, sample_rate, channels)


class WaveNetPrior(ExactPrior):
    """log p_sigma(x) = sum_t log p_sigma(x_t | x_1 .. x_(t-1)): exact, with a gradient in every sample.

    Every layer sees log sigma. Training draws sigma log-uniformly in [noise_min, noise_max] and maximises
    log p_sigma(x + sigma e), e ~ N(0, I).

    Reference: van den Oord et al., WaveNet, 2016; generation: Paine et al., Fast WaveNet, 2016.
    Deviations: noise levels as an input; a mixture of logistics around a linear prediction, or interpolated
    mu-law codes (`vsep_ray.nn.autoregressive`); no one-hot input, whose gradient in the waveform is zero.
    """

    def __init__(self, config: WaveNetConfig, sample_rate: int, channels: int) -> None:
        super().__init__(config, sample_rate, channels, 1)
        self.embedding = NoiseEmbedding(config.embedding)
        mulaw = config.output == "mulaw"
        law = MuLaw() if mulaw else LogisticMixture(config.components, config.taps, config.data_std)
        self.density = Autoregressive(
            channels, law, config.width, config.layers, config.cycle, config.embedding
        )

    @override
    def _log_prob(self, x: Tensor, noise_std: Tensor) -> Tensor:
        return self.density.log_prob(x, self.embedding(noise_std), noise_std)

    @override
    def _draw(self, length: int, noise_std: Tensor, temperature: float) -> Tensor:
        """Returns draws, made sample by sample through the cache.

        At a noise level near 0.03 the prediction averages over its taps, and the draws hold their pitch; at
        the smallest level they decay.
        """
        return self.density.sample(
            length, self.embedding(noise_std), noise_std, temperature, self.config.warm
        )
