"""Forward KL: the separator learns to invert mixtures whose sources are known."""

import torch
from torch import Tensor
from typing_extensions import override

from vsep_ray.objectives.alarms import posterior_metrics
from vsep_ray.objectives.objective import Batch, Metrics, Objective
from vsep_ray.objectives.point import AUDIBLE, LogErrorConfig, PointConfig
from vsep_ray.parallel import random
from vsep_ray.separators.posterior import of_known_mean
from vsep_ray.separators.separator import Separator

LIKELIHOOD = LogErrorConfig(weight=0.0)


class KnownSources(Objective):
    """-log q(s | m) of the one thing that it reads, sources, and of their mixture m = sum_k a_k s_k.

    The posterior's mean has a loss of its own beside it: the time-varying variances of q let loud errors
    pass where they are expected.
    """

    def __init__(self, separator: Separator, point: PointConfig = LIKELIHOOD) -> None:
        super().__init__()
        self.separator, self.point = separator, point

    @override
    def forward(self, batch: Batch, step: int) -> Metrics:
        (key,) = self.needs
        return negative_log_posterior(self.separator, batch[key], self.point, step)


class Sleep(KnownSources):
    """The forward KL: -log q(s | m) of clips of different songs, or of prior samples, mixed anew.

    Reference: Hinton et al., The wake-sleep algorithm, 1995; Bornschein & Bengio, Reweighted wake-sleep,
    2015.
    """

    needs = ("remix",)


class Supervised(KnownSources):
    """-log q(s | m) for a mixture with its own sources (regime C): the yardstick, never the default."""

    needs = ("sources",)


def negative_log_posterior(separator: Separator, sources: Tensor, point: PointConfig, step: int) -> Metrics:
    """Returns -log q(s | m) of sources and their own mixture beside the loss of the mean, and scalars to log.

    Shape: (B, K, C, T) -> scalars.
    """
    mixture = separator.mixing.mix(sources)
    if noise_std := separator.mixing.noise_std:
        mixture = mixture + noise_std * random.normal(mixture.shape, mixture)
    q = separator(mixture)
    mean = q.mean
    loss = mixture.new_zeros(())
    if point.likelihood:
        law = of_known_mean(q) if point.spread_only else q
        loss = loss - point.likelihood * law.log_prob(sources).mean() / sources[0].numel()
    if point.weight:
        loss = loss + point.weight * point.loss(mean, sources, mixture)
    error = (mean.detach() - sources).square().mean((-2, -1))
    return {
        "loss": loss,
        "snr_db": _snr_db(error, sources),
        **posterior_metrics(q, mixture, separator, step),
    }


def _snr_db(error: Tensor, sources: Tensor) -> Tensor:
    """Returns the mean ratio over audible sources, dB; it says nothing of silent ones.

    Shape: (B, K), (B, K, C, T) -> ().
    """
    power = sources.square().mean((-2, -1))
    ratios = torch.where(power > AUDIBLE, 10 * torch.log10(power / (error + AUDIBLE * 1e-6)), 0)
    return ratios.sum() / (power > AUDIBLE).sum().clamp_min(1)
