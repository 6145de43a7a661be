"""Signs that a separator is going wrong, as scalars to log and as words."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.distributions import Distribution

from vsep_ray.mixing import LinearMixing
from vsep_ray.separators.separator import Separator

SILENT_SHARE = 1e-3
COLLAPSED_STD = 4e-3
"""A posterior narrower than this, relative to the mixture's level (-48 dB), has collapsed."""
DRIFT = 5.0
"""A source drifts where its energy shares in real mixtures and in Sleep's differ by this factor."""
QUIET = 1e-4
EVERY = 5
"""Signs are read every few steps: they cost as much as a loss, and change slowly."""


def energy_shares(shares: Tensor) -> Tensor:
    """Returns each source's part of the energy, averaged over the batch.

    Shape: (B, K, C, T) -> (K,), whose sum is 1.
    """
    energy = (shares**2).sum((-2, -1)) + 1e-12
    return (energy / energy.sum(1, keepdim=True)).mean(0)


def relative_std(q: Distribution, mixture: Tensor, mixing: LinearMixing) -> Tensor:
    """Returns the posterior's standard deviation over the level of the mixture, as a geometric mean over
    sources and samples; near the least that its family can have it has collapsed.

    Shape: mixture (B, C, T) -> ().
    """
    level = mixture.square().mean((1, 2)).sqrt().clamp_min(QUIET)
    std = mixing.shares(q.variance.clamp_min(QUIET**4).sqrt()) / level[:, None, None, None]
    return std.log().mean().exp()


def posterior_metrics(q: Distribution, mixture: Tensor, separator: Separator, step: int) -> dict[str, Tensor]:
    """Returns what is logged of a posterior: its entropy (nats per sample), its relative spread, and each
    source's share of the energy; nothing but every `EVERY` steps.
    """
    if step % EVERY:
        return {}
    with torch.no_grad():
        mean = q.mean
        shares = energy_shares(separator.mixing.shares(mean))
        return {
            "entropy": q.entropy().mean() / mean[0].numel(),
            "relative_std": relative_std(q, mixture, separator.mixing),
            **{f"energy_share/{name}": v for name, v in zip(separator.sources, shares, strict=True)},
        }


def alarms(metrics: Mapping[str, float]) -> list[str]:
    """Returns what the logged scalars warn of, one sentence each.

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
    """Returns a sentence for each source whose share in real mixtures is far from that in Sleep's, which is
    known.
    """
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
