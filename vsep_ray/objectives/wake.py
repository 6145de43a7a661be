"""Reverse KL: the ELBO of unlabelled mixtures under frozen priors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent
from typing_extensions import override

from vsep_ray.config import UserError, option
from vsep_ray.joint import Joint
from vsep_ray.mixing import ConditionedNormal, ConvolvedNormal
from vsep_ray.nn.normal import normal
from vsep_ray.objectives.alarms import posterior_metrics
from vsep_ray.objectives.anchored import AnchoredConfig
from vsep_ray.objectives.objective import Batch, Metrics, Objective
from vsep_ray.objectives.point import PointConfig
from vsep_ray.parallel import random
from vsep_ray.schedules import Schedule
from vsep_ray.separators.separator import Separator

Gradient = Literal["entropy", "path"]


@dataclass(frozen=True)
class WakeConfig(AnchoredConfig):
    """The ELBO of unlabelled mixtures under the frozen priors, beside Sleep."""

    needs_noise = ("beta",)

    sigma: Schedule = option(
        default_factory=lambda: Schedule(0.3, 0.1, 5_000, "geometric"), was=("noise_std",)
    )
    """The posterior is compared with the priors at this noise level over the steps (units of the
    waveform)."""
    beta: float = 1.0
    """The KL part of the ELBO has this weight (nats against nats), which needs mixing noise,
    --separator.noise-std."""
    temperatures: tuple[float, ...] = ()
    """The priors have these temperatures tau_k, one per source or one for all. Default: ones."""
    samples: int = 1
    """The posterior is drawn from this number of times per mixture."""
    gradient: Gradient = "entropy"
    """The gradient takes the entropy in closed form (entropy), or -log q along the path of the draws
    (path)."""

    def beside(self, separator: Separator, joint: Joint | None, point: PointConfig) -> "Wake":
        """Returns Wake."""
        assert joint is not None, "asks_priors"
        return Wake(separator, joint, self.sigma, self.beta, self.temperatures, self.samples, self.gradient)


class Wake(Objective):
    """-ELBO: -(beta (sum_k tau_k E_q log p_sigma(s_k + sigma e) + H(q * N(0, sigma^2))) + E_q log p(m | s)).

    The smoothed priors are compared with the equally smoothed posterior: a smoothed density on a clean sample
    is out of its distribution. Under exact mixing the last term is constant and left out; beta then only
    rescales, and tau_k is what balances a prior against the entropy. Of a prior whose log density is an
    estimate (score models) only the gradient is computed; the ELBO's value is then not logged.

    Args:
        joint: frozen priors and mixing, in the separator's order of sources.
        beta: weight of the KL part, nats against nats.
        temperatures: tau_k, one per source, or one for all; () for ones.
        sigma: schedule of the noise level over the steps, units of the waveform.
        samples: Monte-Carlo draws per mixture.
        gradient: "entropy" takes the entropy in closed form; "path" takes -log q of the draws and lets the
            gradient reach them alone: as the posterior nears the true one, its noise vanishes too.

    Reference: Frank, founding proposal, 2020 (ELBO); Higgins et al., beta-VAE, 2017, eq. 4; path gradients:
    Roeder et al., Sticking the landing, 2017, eq. 8.
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
        sigma: Schedule,
        beta: float = 1.0,
        temperatures: Sequence[float] = (),
        samples: int = 1,
        gradient: Gradient = "entropy",
    ) -> None:
        super().__init__()
        if joint.sources != separator.sources:
            raise ValueError(
                f"sources differ: separator {separator.sources}, joint {joint.sources}; "
                "their order is part of the checkpoint"
            )
        _check_settings(joint, sigma, temperatures)
        self.separator, self.joint, self.beta = separator, joint, beta
        self.sigma, self.samples, self.gradient = sigma, samples, gradient
        taus = torch.tensor(list(temperatures) or [1.0]).expand(len(joint.sources))
        self.register_buffer("temperatures", taus.clone(), persistent=False)  # DDP writes to it

    @override
    def forward(self, batch: Batch, step: int) -> Metrics:
        mixture = batch["mixture"]
        q = self.separator(mixture)
        if self.joint.mixing.noise_std == 0 and not isinstance(q, ConditionedNormal):
            raise UserError("exact mixing needs a conditioned posterior; choose it or a noise_std above 0")
        drawn = q.rsample((self.samples,))
        sigma = self.sigma(step)
        noisy = drawn + sigma * random.normal(drawn.shape, drawn, dim=1)
        log_prior = self._log_prior(noisy, sigma)
        entropy = self._entropy(q, noisy, sigma)
        likelihood = self.joint.log_likelihood(drawn, mixture).mean(0)
        elbo = self.beta * ((self.temperatures * log_prior).sum(-1) + entropy) + likelihood
        bound = log_prior.sum(-1) + entropy + likelihood
        return {
            "loss": -elbo.mean() / drawn[0, 0].numel(),
            **({"elbo": bound.mean().detach()} if self.joint.exact else {}),
            "sigma": torch.tensor(sigma),
            **posterior_metrics(q, mixture, self.separator, step),
        }

    def _log_prior(self, noisy: Tensor, sigma: float) -> Tensor:
        """Returns the mean over the draws. Shape: (S, B, K, C, T) -> (B, K)."""
        flat = noisy.flatten(0, 1)
        log_prior = self.joint.log_prior_surrogate(flat, flat.new_full((len(flat),), sigma))
        return log_prior.unflatten(0, noisy.shape[:2]).mean(0)

    def _entropy(self, q: Distribution, noisy: Tensor, sigma: float) -> Tensor:
        """Returns the entropy of the blurred posterior. Shape: (S, B, K, C, T) -> (B,)."""
        if self.gradient == "entropy":
            return _blurred(q, sigma).entropy()
        with torch.no_grad():  # the parameters stand still, the draws move
            blurred = _blurred(q, sigma)
        return -blurred.log_prob(noisy).mean(0)


def _check_settings(joint: Joint, sigma: Schedule, temperatures: Sequence[float]) -> None:
    low, high = joint.noise_range
    if min(sigma.start, sigma.end) < low or max(sigma.start, sigma.end) > high:
        raise UserError(f"noise levels {sigma} leave the range [{low}, {high}] that the priors know")
    if len(temperatures) not in (0, 1, len(joint.sources)):
        raise UserError(f"expected one temperature per source {joint.sources}, got {tuple(temperatures)}")


def _blurred(q: Distribution, sigma: float) -> Distribution:
    """Returns the law of s + sigma e, s from q, e ~ N(0, I), whose entropy does not depend on the mean."""
    if isinstance(q, ConditionedNormal):
        return ConvolvedNormal(q, sigma)
    return Independent(normal(q.mean.detach(), (q.variance + sigma**2).sqrt()), 3, validate_args=False)
