"""What training minimises. Each objective is a module, so that DDP wraps the very thing that is called."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from vsep_ray.alarms import entropy_per_sample, share_metrics
from vsep_ray.config import UserError
from vsep_ray.joint import Joint
from vsep_ray.mixing import ConditionedNormal
from vsep_ray.nn.normal import normal
from vsep_ray.priors.prior import Prior
from vsep_ray.schedules import Schedule
from vsep_ray.separators.separator import Separator

AUDIBLE = 1e-6  # mean power, -60 dBFS
INAUDIBLE_ERROR = 1e-5  # power of an error relative to the mixture, below which no more is gained
Batch = dict[str, Tensor]
Metrics = dict[str, Tensor]


class Objective(nn.Module, ABC):
    """A loss over a batch.

    To add one: set ``needs`` to the batch keys it reads (a test feeds NaN under all others) and return
    ``"loss"``, a scalar, beside whatever is worth a curve. Losses are in nats per waveform sample: the sum
    over K, C, T divided by K C T, which scales the whole loss and hides no weight.
    """

    needs: ClassVar[tuple[str, ...]]

    @abstractmethod
    def forward(self, batch: Batch, step: int) -> Metrics:
        """Shape: clips (B, C, T); sources and remix (B, K, C, T); mixture (B, C, T)."""


class MaximumLikelihood(Objective):
    """-log p_sigma(x + sigma e): trains one prior on clips of its source."""

    needs = ("clips",)

    def __init__(self, prior: Prior) -> None:
        super().__init__()
        self.prior = prior

    def forward(self, batch: Batch, step: int) -> Metrics:
        """See `Prior.loss`."""
        return self.prior.loss(batch["clips"], step)


class Sleep(Objective):
    """-log q(s | m), the forward KL: m = sum_k a_k s_k of clips of different songs, or of prior samples.

    ``mean_weight`` adds as many times 1/2 log(mean squared error of the posterior mean) per source: its
    negative log-likelihood per sample under one variance per item and source, at the best such variance. The
    time-varying variances of q let loud errors pass where they are expected; this term does not.

    Reference: Hinton et al., The wake-sleep algorithm, 1995; Bornschein & Bengio, Reweighted wake-sleep,
    2015.
    """

    needs = ("remix",)

    def __init__(self, separator: Separator, mean_weight: float = 0.0) -> None:
        super().__init__()
        self.separator, self.mean_weight = separator, mean_weight

    def forward(self, batch: Batch, step: int) -> Metrics:
        """See `Objective.forward`; remix (B, K, C, T)."""
        return _negative_log_posterior(self.separator, batch["remix"], self.mean_weight)


class Supervised(Objective):
    """-log q(s | m) for a mixture with its own sources (regime C): the yardstick, never the default."""

    needs = ("sources",)

    def __init__(self, separator: Separator, mean_weight: float = 0.0) -> None:
        super().__init__()
        self.separator, self.mean_weight = separator, mean_weight

    def forward(self, batch: Batch, step: int) -> Metrics:
        """See `Objective.forward`; sources (B, K, C, T)."""
        return _negative_log_posterior(self.separator, batch["sources"], self.mean_weight)


class Wake(Objective):
    """-ELBO: -(beta (sum_k tau_k E_q log p_sigma(s_k + sigma e) + H(q * N(0, sigma^2))) + E_q log p(m | s)).

    The smoothed priors are compared with the equally smoothed posterior: a smoothed density on a clean sample
    is out of its distribution. Under exact mixing the last term is constant and left out; beta then only
    rescales, and tau_k is what balances a prior against the entropy.

    Args:
        joint: frozen priors and mixing, in the separator's order of sources.
        beta: weight of the KL part, nats against nats.
        temperatures: tau_k, one per source; () for ones.
        noise_std: schedule of sigma over the steps, units of the waveform.
        samples: Monte-Carlo draws per mixture.

    Reference: Frank, founding proposal, 2020 (ELBO); Higgins et al., beta-VAE, 2017, eq. 4.
    Raises:
        ValueError: sources of joint and separator differ.
        UserError: noise levels that the priors were not trained at, temperatures of another number of
            sources, or a posterior that under exact mixing would not know its mixture.
    """

    needs = ("mixture",)
    temperatures: Tensor

    def __init__(
        self,
        separator: Separator,
        joint: Joint,
        noise_std: Schedule,
        beta: float = 1.0,
        temperatures: Sequence[float] = (),
        samples: int = 1,
    ) -> None:
        super().__init__()
        if joint.sources != separator.sources:
            names = f"separator {separator.sources}, joint {joint.sources}"
            raise ValueError(f"sources differ: {names}; their order is part of the checkpoint")
        _check_settings(joint, noise_std, temperatures)
        self.separator, self.joint, self.beta = separator, joint, beta
        self.noise_std, self.samples = noise_std, samples
        taus = torch.tensor(list(temperatures) or [1.0] * len(joint.sources))
        self.register_buffer("temperatures", taus, persistent=False)

    def forward(self, batch: Batch, step: int) -> Metrics:
        """See `Objective.forward`; mixture (B, C, T)."""
        mixture = batch["mixture"]
        q = self.separator(mixture)
        if self.joint.mixing.noise_std == 0 and not isinstance(q, ConditionedNormal):
            raise UserError("exact mixing needs a conditioned posterior; choose it or a noise_std above 0")
        draws = q.rsample((self.samples,))
        sigma = self.noise_std(step)
        log_prior = self._log_prior(draws, sigma)
        entropy = _blurred_entropy(q, sigma)
        likelihood = self.joint.log_likelihood(draws, mixture).mean(0)
        elbo = self.beta * ((self.temperatures * log_prior).sum(-1) + entropy) + likelihood
        return {
            "loss": -elbo.mean() / draws[0, 0].numel(),
            "elbo": (log_prior.sum(-1) + entropy + likelihood).mean().detach(),
            "noise_std": torch.tensor(sigma),
            **share_metrics(self.separator.mixing.shares(q.mean), self.separator.sources),
        }

    def _log_prior(self, draws: Tensor, sigma: float) -> Tensor:
        flat = draws.flatten(0, 1)
        noisy = flat + sigma * torch.randn(flat.shape).to(flat)
        log_prior = self.joint.log_prior(noisy, flat.new_full((len(flat),), sigma))
        return log_prior.unflatten(0, draws.shape[:2]).mean(0)


class SleepWake(Objective):
    """fraction(step) x Sleep + (1 - fraction(step)) x Wake: the anchor that keeps Wake from collapsing.

    A term of weight 0 is not computed.
    """

    needs = ("remix", "mixture")

    def __init__(self, sleep: Sleep, wake: Wake, sleep_fraction: Schedule) -> None:
        super().__init__()
        self.sleep, self.wake, self.sleep_fraction = sleep, wake, sleep_fraction

    def forward(self, batch: Batch, step: int) -> Metrics:
        """See `Objective.forward`."""
        fraction = self.sleep_fraction(step)
        metrics: Metrics = {}
        loss = batch["mixture"].new_zeros(())
        for name, objective, weight in (("sleep", self.sleep, fraction), ("wake", self.wake, 1 - fraction)):
            if weight > 0:
                part = objective(batch, step)
                loss = loss + weight * part["loss"]
                metrics |= {f"{name}/{k}": v for k, v in part.items()}
        return {"loss": loss, **metrics}


def _negative_log_posterior(separator: Separator, sources: Tensor, mean_weight: float) -> Metrics:
    mixture = separator.mixing.mix(sources)
    mixture = mixture + separator.mixing.noise_std * torch.randn(mixture.shape).to(mixture)
    q = separator(mixture)
    loss = -q.log_prob(sources).mean() / sources[0].numel()
    if mean_weight:
        loss = loss + mean_weight * _profiled(q.mean, sources, mixture)
    return {
        "loss": loss,
        "snr_db": _snr_db(q.mean.detach(), sources),
        "entropy": entropy_per_sample(q, sources).detach(),
        **share_metrics(separator.mixing.shares(q.mean), separator.sources),
    }


def _profiled(estimates: Tensor, sources: Tensor, mixture: Tensor) -> Tensor:
    """1/2 log MSE, averaged over items and sources, relative to the mixture. Shape: (B, K, C, T) -> ()."""
    error = ((estimates - sources) ** 2).mean((-2, -1))
    level = (mixture**2).mean((-2, -1)).unsqueeze(1) + AUDIBLE * 1e-6
    return 0.5 * (error / level + INAUDIBLE_ERROR).log().mean()


def _snr_db(estimates: Tensor, sources: Tensor) -> Tensor:
    """Mean ratio over audible sources, dB; it says nothing of silent ones. Shape: (B, K, C, T) -> ()."""
    error = ((estimates - sources) ** 2).mean((-2, -1)) + AUDIBLE * 1e-6
    power = (sources**2).mean((-2, -1))
    ratios = torch.where(power > AUDIBLE, 10 * torch.log10(power / error), 0)
    return ratios.sum() / (power > AUDIBLE).sum().clamp_min(1)


def _check_settings(joint: Joint, noise_std: Schedule, temperatures: Sequence[float]) -> None:
    low, high = joint.noise_range
    if min(noise_std.start, noise_std.end) < low or max(noise_std.start, noise_std.end) > high:
        raise UserError(f"noise levels {noise_std} leave the range [{low}, {high}] that the priors know")
    if temperatures and len(temperatures) != len(joint.sources):
        raise UserError(f"expected one temperature per source {joint.sources}, got {tuple(temperatures)}")


def _blurred_entropy(q: Distribution, sigma: float) -> Tensor:
    """Entropy of q convolved with N(0, sigma^2 I). Shape: -> (B,)."""
    if isinstance(q, ConditionedNormal):
        return q.convolved(sigma).entropy()
    return Independent(normal(q.mean, (q.variance + sigma**2).sqrt()), 3).entropy()
