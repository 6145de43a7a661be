"""From a mixture to its sources: plain functions, (B, C, T) -> (B, K, C, T) once their keywords are bound.

`refine` and `langevin` climb the joint density p_sigma(s) p(m | s) by steps that are explicit in the priors
and implicit (proximal) in the mixing: under exact mixing every iterate mixes to m, and no step is too long
for the likelihood, however small the mixing noise is.
"""

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from vsep_ray.joint import Joint
from vsep_ray.parallel import random
from vsep_ray.separators.separator import Separator

SeparateFn = Callable[[Tensor], Tensor]


@torch.no_grad()
def amortized(mixture: Tensor, *, separator: Separator) -> Tensor:
    """Returns the posterior mean of one forward pass, the estimate that maximises expected SDR.

    Shape: (B, C, T) -> (B, K, C, T).
    """
    return separator(mixture).mean


@torch.no_grad()
def amortized_with_variance(
    mixture: Tensor, *, separator: Separator, samples: int, matrix: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns the shares a_k s_k of `amortized`, and the posterior variances of their sums by draws.

    The variance is the mean of |A (a s - a mean)|^2 over the draws, an unbiased estimate since the mean is
    known.

    Args:
        mixture: (B, C, T).
        separator: q(s | m).
        samples: draws S per chunk; they cost as many times the noise, not the memory.
        matrix: A, (J, K), zeros and ones: the stems as sums of sources.

    Shape: (B, C, T) -> (B, K, C, T), (B, J, C, T).
    """
    posterior = separator(mixture)
    mean, variance = posterior.mean, torch.zeros((), device=mixture.device)
    for _ in range(samples):
        deviation = separator.mixing.shares(posterior.sample() - mean)
        variance = variance + torch.einsum("jk,bkct->bjct", matrix, deviation) ** 2 / samples
    return separator.mixing.shares(mean), variance


@torch.no_grad()
def refine(
    mixture: Tensor,
    *,
    separator: Separator,
    joint: Joint,
    sigma: float,
    steps: int,
    step_size: float,
) -> Tensor:
    """Returns the posterior mean after a few steps up E_e log p_sigma(s + sigma e) + log p(m | s).

    A step is s <- prox(s + step_size sigma^2 score(s + sigma e)), e ~ N(0, I), where prox is the proximal
    point of -log p(m | s). Few steps help; many follow the priors' own errors.

    Args:
        mixture: (B, C, T).
        separator: gives the start.
        joint: frozen priors and mixing, in the separator's order of sources.
        sigma: noise level (units of the waveform), near the error of the start.
        steps: number of steps.
        step_size: 1 goes all the way to what a denoiser makes of the noisy sources.

    Shape: (B, C, T) -> (B, K, C, T), any T.
    Reference: Kim et al., Semi-amortized variational autoencoders, 2018; Parikh & Boyd, Proximal algorithms,
    2014, section 4.2 (proximal gradient).
    Deviations: the means are refined and the variances stay; no gradient flows back into the separator.
    """
    whole, sources = (_padded(x, joint.multiple) for x in (mixture, separator(mixture).mean))
    for _ in range(steps):
        noisy = sources + sigma * random.normal(sources.shape, sources)
        score = joint.prior_score(noisy, noisy.new_full((len(noisy),), sigma))
        sources = _climb(sources, score, whole, joint, step_size * sigma**2)
    return sources[..., : mixture.shape[-1]]


@torch.no_grad()
def langevin(
    mixture: Tensor,
    *,
    joint: Joint,
    sigmas: Sequence[float],
    steps: int,
    step_size: float,
    samples: int = 1,
    separator: Separator,
) -> Tensor:
    """Returns the mean of ``samples`` draws from p(s | m) by annealed Langevin dynamics.

    At each level, s <- prox(s + h score_sigma(s) + sqrt(2 h) e) with h = step_size sigma^2; after the last,
    one step to the denoised sources. At each level the law tends to p_sigma(s) p(m | s) as h -> 0.

    Args:
        mixture: (B, C, T).
        joint: frozen priors and mixing.
        sigmas: noise levels, descending (units of the waveform).
        steps: steps per level.
        step_size: h / sigma^2.
        samples: draws to average; they cost as many times the time, not the memory.
        separator: gives the start, which then gets noise of the first level.

    Shape: (B, C, T) -> (B, K, C, T), any T.
    Reference: Song & Ermon, Generative modeling by estimating gradients of the data distribution, 2019,
    algorithm 1; for sources: Jayaram & Thickstun, Source separation with deep generative priors, 2020;
    the last step: Jolicoeur-Martineau et al., Adversarial score matching, 2020.
    """
    whole, start = (_padded(x, joint.multiple) for x in (mixture, separator(mixture).mean))
    draws = (_chain(start, whole, joint, sigmas, steps, step_size) for _ in range(samples))
    return functools.reduce(torch.add, draws)[..., : mixture.shape[-1]] / samples


def uncertainty(std: Tensor, frame: int) -> Tensor:
    """Returns the root mean square of a posterior's standard deviation, per source over time.

    Shape: std (B, K, C, T) in units of the waveform, frame (samples) -> (B, K, ceil(T / frame)).
    """
    power = nn.functional.pad((std**2).mean(2), (0, -std.shape[-1] % frame), mode="replicate")
    return power.unflatten(-1, (-1, frame)).mean(-1).sqrt()


def _chain(
    start: Tensor, mixture: Tensor, joint: Joint, sigmas: Sequence[float], steps: int, step_size: float
) -> Tensor:
    sources = start + sigmas[0] * random.normal(start.shape, start)
    for sigma in sigmas:
        level, step = sources.new_full((len(sources),), sigma), step_size * sigma**2
        for _ in range(steps):
            diffused = sources + (2 * step) ** 0.5 * random.normal(sources.shape, sources)
            sources = _climb(diffused, joint.prior_score(sources, level), mixture, joint, step)
    return _climb(sources, joint.prior_score(sources, level), mixture, joint, sigmas[-1] ** 2)


def _climb(sources: Tensor, score: Tensor, mixture: Tensor, joint: Joint, step: float) -> Tensor:
    """Returns prox(s + step score), the most likely s' under N(s'; s + step score, step I) p(m | s')."""
    std = sources.new_tensor(step).sqrt()
    return joint.mixing.condition(sources + step * score, std, mixture).mean


def _padded(x: Tensor, multiple: int) -> Tensor:
    return nn.functional.pad(x, (0, -x.shape[-1] % multiple))
