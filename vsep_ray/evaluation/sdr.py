"""SI-SDR and SDR of estimates against references, in dB.

Every function takes ``estimates`` and ``references`` in this order, both (..., C, T), and takes channels and
samples together: one number for a signal of any channel count. A reference under -60 dBFS is silent: its
SI-SDR is NaN, which means and medians leave out, and `leakage_db` says instead how much of the mixture came
through.
"""

import math

import torch
from torch import Tensor

SILENT_DBFS = -60.0
SI_SDR_RANGE_DB = (-30.0, 60.0)
HIGHEST_SDR_DB = 100.0


def si_sdr(estimates: Tensor, references: Tensor) -> Tensor:
    """Returns the scale-invariant SDR: ``10 log10(|a s|^2 / |a s - s^|^2)`` with ``a = <s^, s> / <s, s>``,
    clipped to [-30, 60] dB.

    One ``a`` for all channels; means are not removed. An estimate of zero scores -30 dB.

    Shape: (..., C, T), (..., C, T) -> (...).

    Returns:
        dB in float64; NaN where the reference is silent.

    Reference: Le Roux, Wisdom, Erdogan, Hershey (2019), "SDR - half-baked or well done?", equation 5.
    """
    estimates, references = _checked(estimates, references)
    scale = (estimates * references).sum((-2, -1)) / _energy(references).clamp_min(1e-300)
    target = scale[..., None, None] * references
    score = _ratio_db(_energy(target), _energy(estimates - target)).clamp(*SI_SDR_RANGE_DB)
    return score.masked_fill(is_silent(references), math.nan)


def sdr(estimates: Tensor, references: Tensor) -> Tensor:
    """Returns the SDR over the whole signal: ``10 log10(|s|^2 / |s - s^|^2)``, at most 100 dB (an exact
    estimate).

    Shape: (..., C, T), (..., C, T) -> (...).

    Returns:
        dB in float64; -inf where the reference is all zeros.
    """
    estimates, references = _checked(estimates, references)
    return _ratio_db(_energy(references), _energy(references - estimates)).clamp(max=HIGHEST_SDR_DB)


def framewise_sdr(
    estimates: Tensor, references: Tensor, sample_rate: int, window_seconds: float = 1.0
) -> Tensor:
    """Returns the SDR of museval v4: `sdr` of each window. Its tables state the median over the windows.

    Equal to museval's image SDR up to rounding and the cap of 100 dB. As there, a window in which any source
    of the reference or of the estimate is all zeros (summed over channels) is NaN for every source, a rest
    shorter than a window is left out, and a track shorter than a window is one window.

    Shape: (..., K, C, T), (..., K, C, T) -> (..., K, W) with W windows.

    Reference: Stöter, Liutkus, Ito (2018), "The 2018 Signal Separation Evaluation Campaign"; museval 0.4.1,
    ``metrics.bss_eval``.
    """
    estimates, references = _checked(estimates, references)
    window = min(round(window_seconds * sample_rate), references.shape[-1])
    estimates, references = (
        x.unfold(-1, window, window).movedim(-2, -3) for x in (estimates, references)
    )  # (..., K, W, C, window)
    empty = (_all_zero(references) | _all_zero(estimates)).any(-2, keepdim=True)
    return sdr(estimates, references).masked_fill(empty, math.nan)


def leakage_db(estimates: Tensor, mixture: Tensor) -> Tensor:
    """Returns what an estimate of a silent source let through: ``10 log10(|s^|^2 / |m|^2)``, within [-100,
    100] dB, -100 where it is zero.

    Shape: (..., C, T), mixture broadcast against it -> (...).
    """
    energy = _energy(mixture.to(torch.float64)).clamp_min(1e-20)
    return _ratio_db(_energy(estimates.to(torch.float64)), energy).clamp(-HIGHEST_SDR_DB, HIGHEST_SDR_DB)


def is_silent(references: Tensor) -> Tensor:
    """Returns whether the RMS over channels and samples is below -60 dBFS.

    Shape: (..., C, T) -> (...) bool.
    """
    return references.to(torch.float64).square().mean((-2, -1)) < 10 ** (SILENT_DBFS / 10)


def _checked(estimates: Tensor, references: Tensor) -> tuple[Tensor, Tensor]:
    assert estimates.shape == references.shape, (
        f"estimates {tuple(estimates.shape)}, references {tuple(references.shape)}"
    )
    return estimates.to(torch.float64), references.to(torch.float64)


def _energy(x: Tensor) -> Tensor:
    return x.square().sum((-2, -1))


def _all_zero(x: Tensor) -> Tensor:
    return (x.sum(-2) == 0).all(-1)


def _ratio_db(signal: Tensor, noise: Tensor) -> Tensor:
    # 0 / 0 is no signal: -inf, which the callers clip
    return torch.where(signal > 0, 10 * torch.log10(signal / noise), -math.inf)
