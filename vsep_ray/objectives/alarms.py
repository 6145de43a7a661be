"""Signs that a separator is going wrong, as scalars to log and as words."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.distributions import Distribution

from vsep_ray.mixing import LinearMixing
from vsep_ray.separators.separator import Separator

SILENT_SHARE = 1e-3
COLLAPSED_STD = 4e-3
"""Relative to the mixture's level: -48 dB, where no separator is so sure with reason."""
DRIFT = 5.0
"""Ratio of a source's energy share in real mixtures to that in Sleep's which is too much either way."""
QUIET = 1e-4


def energy_shares(shares: Tensor) -> Tensor:
    """Each source's part of the energy, averaged over the batch. Shape: (B, K, C, T) -> (K,), sum 1."""
    energy = (shares**2).sum((-2, -1)) + 1e-12
    return (energy / energy.sum(1, keepdim=True)).mean(0)


def entropy_per_sample(q: Distribution, like: Tensor) -> Tensor:
    """H(q) in nats per waveform sample. Shape: like (B, K, C, T) -> ()."""
    return q.entropy().mean() / like[0].numel()


def relative_std(q: Distribution, mixture: Tensor, mixing: LinearMixing) -> Tensor:
    """The posterior's standard deviation over the level of the mixture, as a geometric mean over sources and
    samples; near the least that its family can have it has collapsed. Shape: mixture (B, C, T) -> ()."""
    level = mixture.square().mean((1, 2)).sqrt().clamp_min(QUIET)
    std = mixing.shares(q.variance.clamp_min(QUIET**4).sqrt()) / level[:, None, None, None]
    return std.log().mean().exp()


def posterior_metrics(q: Distribution, mixture: Tensor, separator: Separator) -> dict[str, Tensor]:
    """What is logged of every posterior: its entropy, its relative spread, each source's energy share."""
    with torch.no_grad():
        mean = q.mean
        shares = energy_shares(separator.mixing.shares(mean))
        return {
            "entropy": entropy_per_sample(q, mean),
            "relative_std": relative_std(q, mixture, separator.mixing),
            **{f"energy_share/{name}": v for name, v in zip(separator.sources, shares, strict=True)},
        }


def alarms(metrics: Mapping[str, float]) -> list[str]:
    """What the logged scalars warn of, one sentence each.

    Example:
        >>> alarms({"energy_share/drums": 1e-5, "skipped_updates": 0.0})
        ['drums has gone silent: 0.001 % of the energy']
    """
    found = [
        f"{key.rpartition('/')[2]} has gone silent: {100 * value:.3f} % of the energy"
        for key, value in metrics.items()
        if "energy_share/" in key and value < SILENT_SHARE
    ]
    found += [
        f"the posterior has collapsed: its standard deviation is {100 * value:.2f} % of the mixture's level"
        for key, value in metrics.items()
        if key.endswith("relative_std") and value < COLLAPSED_STD
    ]
    if (skipped := metrics.get("skipped_updates", 0)) > 0:
        found.append(f"{skipped:.0f} updates skipped: their gradients were not finite")
    return found + _drifts(metrics)


def _drifts(metrics: Mapping[str, float]) -> list[str]:
    """Shares of real mixtures that are far from those of Sleep's mixtures, whose sources are known."""
    found = []
    for key, value in metrics.items():
        objective, _, name = key.rpartition("/energy_share/")
        known = metrics.get(f"{objective.rpartition('/')[0]}/sleep/energy_share/{name}".lstrip("/"))
        if known and not objective.endswith("sleep") and not 1 / DRIFT < value / known < DRIFT:
            found.append(
                f"{name} drifts: {100 * value:.1f} % of the energy of real mixtures, "
                f"{100 * known:.1f} % of that of Sleep's"
            )
    return found
