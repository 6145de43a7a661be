"""Forward KL: the separator learns to invert mixtures whose sources are known."""

import torch
from torch import Tensor
from typing_extensions import override

from vsep_ray.objectives.alarms import posterior_metrics
from vsep_ray.objectives.objective import Batch, Metrics, Objective
from vsep_ray.parallel import random
from vsep_ray.separators.separator import Separator

AUDIBLE = 1e-6  # mean power, -60 dBFS
INAUDIBLE_ERROR = 1e-5  # power of an error relative to the mixture, below which no more is gained


class KnownSources(Objective):
    """-log q(s | m) of the one thing that it reads, sources, and of their mixture m = sum_k a_k s_k.

    ``mean_weight`` adds as many times 1/2 log(mean squared error of the posterior mean) per source: its
    negative log-likelihood per sample under one variance per item and source, at the best such variance. The
    time-varying variances of q let loud errors pass where they are expected; this term does not.
    """

    def __init__(self, separator: Separator, mean_weight: float = 0.0) -> None:
        super().__init__()
        self.separator, self.mean_weight = separator, mean_weight

    @override
    def forward(self, batch: Batch, step: int) -> Metrics:
        (key,) = self.needs
        return negative_log_posterior(self.separator, batch[key], self.mean_weight, step)


class Sleep(KnownSources):
    """The forward KL: -log q(s | m) of clips of different songs, or of prior samples, mixed anew.

    Reference: Hinton et al., The wake-sleep algorithm, 1995; Bornschein & Bengio, Reweighted wake-sleep,
    2015.
    """

    needs = ("remix",)


class Supervised(KnownSources):
    """-log q(s | m) for a mixture with its own sources (regime C): the yardstick, never the default."""

    needs = ("sources",)


def negative_log_posterior(separator: Separator, sources: Tensor, mean_weight: float, step: int) -> Metrics:
    """Returns -log q(s | m) of sources and their own mixture, as a loss, and scalars to log.

    Shape: (B, K, C, T) -> scalars.
    """
    mixture = separator.mixing.mix(sources)
    if noise_std := separator.mixing.noise_std:
        mixture = mixture + noise_std * random.normal(mixture.shape, mixture)
    q = separator(mixture)
    loss = -q.log_prob(sources).mean() / sources[0].numel()
    error = (q.mean - sources).square().mean((-2, -1))
    if mean_weight:
        loss = loss + mean_weight * _profiled(error, mixture)
    return {
        "loss": loss,
        "snr_db": _snr_db(error.detach(), sources),
        **posterior_metrics(q, mixture, separator, step),
    }


def _profiled(error: Tensor, mixture: Tensor) -> Tensor:
    """Returns 1/2 log MSE, averaged over items and sources, relative to the mixture.

    Shape: (B, K), (B, C, T) -> ().
    """
    level = mixture.square().mean((-2, -1)).unsqueeze(1) + AUDIBLE * 1e-6
    return 0.5 * (error / level + INAUDIBLE_ERROR).log().mean()


def _snr_db(error: Tensor, sources: Tensor) -> Tensor:
    """Returns the mean ratio over audible sources, dB; it says nothing of silent ones.

    Shape: (B, K), (B, K, C, T) -> ().
    """
    power = sources.square().mean((-2, -1))
    ratios = torch.where(power > AUDIBLE, 10 * torch.log10(power / (error + AUDIBLE * 1e-6)), 0)
    return ratios.sum() / (power > AUDIBLE).sum().clamp_min(1)
