"""p(m | s): the linear mixing, and the Gaussian posterior that it turns independent Gaussian sources into."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, constraints

from vsep_ray.nn.normal import LOG_2PI, normal
from vsep_ray.parallel import random


class LinearMixing(nn.Module):
    """p(m | s) = N(m; sum_k a_k s_k, noise_std^2), sample by sample.

    Args:
        scales: the a_k, one per source: 1/K for toy waves (the mean), 1 for music stems (the sum).
        noise_std: standard deviation of the mixing noise (units of the waveform); 0: the sum is exact.
    """

    scales: Tensor

    def __init__(self, scales: Sequence[float], noise_std: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("scales", torch.tensor(list(scales)), persistent=False)
        self.noise_std = noise_std

    def shares(self, sources: Tensor) -> Tensor:
        """Returns what each source contributes to the mixture, a_k s_k.

        Shape: (..., K, C, T) -> (..., K, C, T).
        """
        return sources * self.scales[:, None, None]

    def mix(self, sources: Tensor) -> Tensor:
        """Returns sum_k a_k s_k. Shape: (..., K, C, T) -> (..., C, T)."""
        return self.shares(sources).sum(-3)

    def forward(self, sources: Tensor) -> Distribution:
        """Returns the law of the mixture given its sources.

        Shape: (..., K, C, T) -> batch (...), event (C, T).

        Raises:
            ValueError: exact mixing (noise_std 0) has no density.
        """
        if self.noise_std <= 0:
            raise ValueError("exact mixing has no density p(m | s); set noise_std > 0, or condition on m")
        return Independent(normal(self.mix(sources), self.noise_std), 2, validate_args=False)

    def condition(self, mean: Tensor, std: Tensor, mixture: Tensor) -> "ConditionedNormal":
        """Returns prod_k N(s_k; mean_k, std_k^2) given the mixture.

        Shape: mean, std (B, K, C, T), mixture (B, C, T).
        """
        return ConditionedNormal(mean, std, mixture, self.scales, self.noise_std)


class ConditionedNormal(Distribution):
    """p(s | m) proportional to prod_k N(s_k; mu_k, v_k) N(m; sum_k a_k s_k, noise_std^2), sample by sample.

    With d = sum_k a_k^2 v_k + noise_std^2 and w_k = a_k v_k / d the mean is mu_k + w_k (m - sum_j a_j mu_j)
    and the covariance over sources is diag(v) - (a v)(a v)^T / d. At noise_std = 0 every draw mixes to m
    exactly and the law lives on that plane: `log_prob` is then the density p(s) / p(m), which assumes without
    checking that its argument lies on the plane.

    Shape: batch (B,), event (K, C, T). Differentiable in mean and std; `rsample` is reparametrised.

    Reference: conditioning by residuals, Doucet, A note on efficient conditional simulation of Gaussian
    distributions, 2010.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012  (torch's own class attribute)
    has_rsample = True

    def __init__(
        self, mean: Tensor, std: Tensor, mixture: Tensor, scales: Tensor, noise_std: float = 0.0
    ) -> None:
        self.base_mean, self.mixture, self.noise_std = mean, mixture, noise_std
        self.base_std = std.expand_as(mean)
        self.scales = scales.to(mean)[:, None, None]
        self.base_variance = self.base_std**2
        self.total_variance = (self.scales**2 * self.base_variance).sum(-3) + noise_std**2
        self.weights = self.scales * self.base_variance / self.total_variance.unsqueeze(-3)
        super().__init__(mean.shape[:-3], mean.shape[-3:], validate_args=False)

    def _mix(self, sources: Tensor) -> Tensor:
        return (self.scales * sources).sum(-3)

    def _correct(self, sources: Tensor, mixture: Tensor) -> Tensor:
        return sources + self.weights * (mixture - self._mix(sources)).unsqueeze(-3)

    @property
    def mean(self) -> Tensor:
        """E[s | m]. Shape: (B, K, C, T)."""
        return self._correct(self.base_mean, self.mixture)

    @property
    def variance(self) -> Tensor:
        """Var[s_k | m] = v_k (1 - a_k w_k). Shape: (B, K, C, T)."""
        return self.base_variance * (1 - self.scales * self.weights)

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = torch.Size()) -> Tensor:  # noqa: B008
        """Returns posterior draws. Shape: (*sample_shape, B, K, C, T)."""
        items = len(sample_shape)
        e = random.normal((*sample_shape, *self.base_mean.shape), self.base_mean, items)
        mixture = self.mixture
        if self.noise_std:
            noise = random.normal((*sample_shape, *mixture.shape), mixture, items)
            mixture = mixture + self.noise_std * noise
        return self._correct(self.base_mean + self.base_std * e, mixture)

    def log_prob(self, value: Tensor) -> Tensor:
        """Returns log p(s | m) in nats, summed over sources, channels and samples.

        Shape: (..., B, K, C, T) -> (..., B).
        """
        # as `Normal.log_prob`, in half of its passes over the largest tensors of a training step
        z = (value - self.base_mean) / self.base_std
        prior = -(0.5 * z**2 + self.base_std.log() + 0.5 * LOG_2PI).sum((-3, -2, -1))
        evidence = normal(self._mix(self.base_mean), self.total_variance.sqrt()).log_prob(self.mixture)
        if self.noise_std == 0:
            return prior - evidence.sum((-2, -1))
        likelihood = normal(self._mix(value), self.noise_std).log_prob(self.mixture)
        return prior + (likelihood - evidence).sum((-2, -1))

    def entropy(self) -> Tensor:
        """Returns the differential entropy in nats, against the same measure as `log_prob`. Shape: (B,)."""
        sources = 0.5 * (1 + LOG_2PI) + self.base_std.log()
        constant = -math.log(self.noise_std**2) if self.noise_std else 1 + LOG_2PI
        removed = 0.5 * (self.total_variance.log() + constant)
        return sources.sum((-3, -2, -1)) - removed.sum((-2, -1))


class ConvolvedNormal(Distribution):
    """N(mean, diag(v + sigma^2) - (a v)(a v)^T / d): a `ConditionedNormal` blurred by N(0, sigma^2 I), which
    Wake compares with p_sigma.

    Determinant and inverse by the rank-one update formulas; d - sum_k (a_k v_k)^2 / (v_k + sigma^2) in them
    is, without cancellation, the gap noise_std^2 + sum_k a_k^2 v_k sigma^2 / (v_k + sigma^2).

    Shape: batch (B,), event (K, C, T); sigma > 0 is a number or (B,).
    Reference: Sherman & Morrison, Adjustment of an inverse matrix, 1950.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012

    def __init__(self, q: ConditionedNormal, sigma: float | Tensor) -> None:
        blur = torch.as_tensor(sigma).to(q.base_mean).reshape(-1, 1, 1, 1) ** 2
        self.center = q.mean
        self.diagonal = q.base_variance + blur
        self.direction = q.scales * q.base_variance / self.diagonal
        self.gap = q.noise_std**2 + (q.scales * self.direction * blur).sum(-3)
        self.ratio = self.gap / q.total_variance
        super().__init__(self.center.shape[:-3], self.center.shape[-3:], validate_args=False)

    def _log_det(self) -> Tensor:
        return self.diagonal.log().sum((-3, -2, -1)) + self.ratio.log().sum((-2, -1))

    def log_prob(self, value: Tensor) -> Tensor:
        """Returns the log density in nats. Shape: (..., B, K, C, T) -> (..., B)."""
        x = value - self.center
        along = (self.direction * x).sum(-3) ** 2 / self.gap
        square = (x**2 / self.diagonal).sum((-3, -2, -1)) + along.sum((-2, -1))
        return -0.5 * (square + self._log_det() + self.center[0].numel() * LOG_2PI)

    def entropy(self) -> Tensor:
        """Returns the differential entropy in nats. Shape: (B,)."""
        return 0.5 * (self._log_det() + self.center[0].numel() * (1 + LOG_2PI))
