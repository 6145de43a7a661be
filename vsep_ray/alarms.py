"""Signs that a separator is going wrong, as scalars to log and as words."""

from collections.abc import Mapping, Sequence

from torch import Tensor
from torch.distributions import Distribution

SILENT_SHARE = 1e-3


def energy_shares(shares: Tensor) -> Tensor:
    """Each source's part of the energy, averaged over the batch. Shape: (B, K, C, T) -> (K,), sum 1."""
    energy = (shares**2).sum((-2, -1)) + 1e-12
    return (energy / energy.sum(1, keepdim=True)).mean(0)


def share_metrics(shares: Tensor, sources: Sequence[str]) -> dict[str, Tensor]:
    """`energy_shares` by name, to be logged. Shape: (B, K, C, T)."""
    return {
        f"energy_share/{name}": v for name, v in zip(sources, energy_shares(shares.detach()), strict=True)
    }


def entropy_per_sample(q: Distribution, like: Tensor) -> Tensor:
    """H(q) in nats per waveform sample; its fall towards minus infinity is a collapse.

    Shape: like (B, K, C, T) -> ().
    """
    return q.entropy().mean() / like[0].numel()


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
    if metrics.get("skipped_updates", 0) > 0:
        found.append(f"{metrics['skipped_updates']:.0f} updates skipped: their gradients were not finite")
    return found
