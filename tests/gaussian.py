"""Gaussian priors and posteriors, for which every integral of the mission is known."""

import dataclasses
import math

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from vsep_ray.mixing import ConditionedNormal, LinearMixing
from vsep_ray.priors.prior import Prior


@dataclasses.dataclass(frozen=True)
class GaussianConfig:
    """A stand-in config: these priors never reach a checkpoint."""

    noise_min: float = 1e-6
    noise_max: float = 100.0


class GaussianPrior(Prior):
    """A Gaussian with independent coefficients in an orthonormal cosine basis. Shape: variances (T,)."""

    kind = "exact"

    def __init__(self, variances: Tensor) -> None:
        super().__init__(GaussianConfig(), 8_000, 1, len(variances))
        self.variances = nn.Parameter(variances, requires_grad=False)
        self.register_buffer("basis", cosine_basis(len(variances)).to(variances))

    def _log_prob(self, x: Tensor, noise_std: Tensor) -> Tensor:
        std = (self.variances + noise_std[:, None, None] ** 2).sqrt()
        return Normal(0.0, std).log_prob(x @ self.basis.T).sum((1, 2))

    def score(self, x: Tensor, noise_std: Tensor) -> Tensor:
        total = self.variances + noise_std[:, None, None] ** 2
        return -((x @ self.basis.T) / total) @ self.basis

    def _draw(self, length: int, noise_std: Tensor, temperature: float) -> Tensor:
        std = (self.variances + noise_std[:, None, None] ** 2).sqrt()
        return temperature * (torch.randn(len(noise_std), 1, length).to(self.basis) * std) @ self.basis

    def _loss(self, clean: Tensor, noisy: Tensor, noise_std: Tensor) -> dict[str, Tensor]:
        raise NotImplementedError


def white(std: float, length: int) -> GaussianPrior:
    """N(0, std^2 I)."""
    return GaussianPrior(torch.full((length,), std**2))


def cosine_basis(length: int) -> Tensor:
    """The orthonormal DCT-II, one basis vector per row."""
    n = torch.arange(length)
    basis = torch.cos(math.pi / length * (n + 0.5) * n[:, None]) * math.sqrt(2 / length)
    basis[0] /= math.sqrt(2)
    return basis


class ExactSeparator(nn.Module):
    """The true posterior of white Gaussian sources, in the place of a trained separator."""

    def __init__(self, stds: dict[str, float], mixing: LinearMixing) -> None:
        super().__init__()
        self.sources, self.mixing = tuple(stds), mixing
        self.stds = torch.tensor(list(stds.values()))

    def forward(self, mixture: Tensor) -> ConditionedNormal:
        mean = mixture.new_zeros(len(mixture), len(self.sources), *mixture.shape[1:])
        return self.mixing.condition(mean, self.stds.to(mixture)[:, None, None].expand_as(mean), mixture)
