"""p(m, s) = p(m | s) prod_k p(s_k): the one object that training, refinement and sampling consume."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from vsep_ray.mixing import LinearMixing
from vsep_ray.priors.prior import Prior


class Joint(nn.Module):
    """The frozen priors of K sources and the mixing.

    Args:
        priors: one prior per source; the order of the mapping is the order of the source axis.
        mixing: p(m | s).

    Raises:
        ValueError: the priors differ in sample rate or channels.
    """

    def __init__(self, priors: Mapping[str, Prior], mixing: LinearMixing) -> None:
        super().__init__()
        self.sources = tuple(priors)
        formats = {(p.sample_rate, p.channels) for p in priors.values()}
        if len(formats) > 1:
            raise ValueError(
                f"priors differ in sample rate and channels: {sorted(formats)}; use one crop store"
            )
        self.priors = nn.ModuleList(priors.values()).requires_grad_(False).eval()
        self.mixing = mixing

    def _priors(self) -> Iterable[Prior]:
        return cast(Iterable[Prior], self.priors)

    def _each(self, function: Callable[[Prior, Tensor], Tensor], sources: Tensor) -> Tensor:
        """Returns a function of each prior and its source, side by side.

        Shape: (B, K, C, T) -> (B, K, ...).
        """
        pairs = zip(self._priors(), sources.unbind(1), strict=True)
        return torch.stack([function(p, x) for p, x in pairs], 1)

    @property
    def noise_range(self) -> tuple[float, float]:
        """Smallest and largest noise level that every prior knows (units of the waveform)."""
        lows, highs = zip(*(p.noise_range for p in self._priors()), strict=True)
        return max(lows), min(highs)

    @property
    def multiple(self) -> int:
        """Samples of which the length must be a multiple for every prior."""
        return math.lcm(*(p.multiple for p in self._priors()))

    def train(self, mode: bool = True) -> "Joint":
        """Keeps the priors frozen and in eval mode whatever the mode of the objective around them."""
        return super().train(False)

    def log_prior_surrogate(self, sources: Tensor, noise_std: Tensor) -> Tensor:
        """Returns numbers whose gradient in the sources is that of log p_k(s_k) at the noise level. They are
        also its values (nats), except for priors whose log density is an estimate, where <s, score> costs one
        pass in the place of an integral.

        Shape: (B, K, C, T), (B,) -> (B, K).
        """
        return self._each(lambda p, x: _surrogate(p, x, noise_std), sources)

    @property
    def exact(self) -> bool:
        """Whether `log_prior_surrogate` has the log densities as its values: no prior of kind "estimate"."""
        return all(p.kind != "estimate" for p in self._priors())

    def log_likelihood(self, sources: Tensor, mixture: Tensor) -> Tensor:
        """Returns log p(m | s), nats, and 0 under exact mixing, where it is constant on the plane.

        Shape: (..., B, K, C, T), (B, C, T) -> (..., B).
        """
        if self.mixing.noise_std == 0:
            return sources.new_zeros(sources.shape[:-3])
        return self.mixing(sources).log_prob(mixture)

    def prior_score(self, sources: Tensor, noise_std: Tensor) -> Tensor:
        """Returns the gradient of the priors' log densities in the sources.

        Shape: (B, K, C, T), (B,) -> (B, K, C, T).
        """
        return self._each(lambda p, x: p.score(x, noise_std), sources)


def _surrogate(prior: Prior, x: Tensor, noise_std: Tensor) -> Tensor:
    if prior.kind == "estimate":
        return (x * prior.score(x.detach(), noise_std)).sum((1, 2))
    return prior.log_prob(x, noise_std)
