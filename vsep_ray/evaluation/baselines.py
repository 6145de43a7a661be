"""The floor and the ceiling beside every score: the mixture as estimate, and masks that know the sources."""

import torch
from torch import Tensor


def mixture_estimate(mixture: Tensor, num_sources: int) -> Tensor:
    """The floor: the mixture itself as the estimate of every source.

    Shape:
        (..., C, T) -> (..., K, C, T)
    """
    return mixture.unsqueeze(-3).expand(*mixture.shape[:-2], num_sources, *mixture.shape[-2:])


def oracle_mask(sources: Tensor, scales: Tensor, *, power: float = 2.0, window: int | None = None) -> Tensor:
    """The ceiling of masking a spectrogram: ``s^_k = iSTFT(|a_k S_k|^p / sum_j |a_j S_j|^p * M) / a_k`` for
    ``m = sum_k a_k s_k``.

    ``power`` 2 is the Wiener-like mask, 1 the ideal ratio mask. The phase is the mixture's, so this is a
    ceiling for real masks only: models that estimate phase can pass it. Exact mixing is kept: ``sum_k a_k
    s^_k = m``.

    Shape:
        sources (..., K, C, T), scales (K,) -> (..., K, C, T)

    Args:
        sources: the references.
        scales: the ``a_k`` of the mixing.
        power: exponent p of the magnitudes.
        window: samples of the Hann window, hop a quarter of it; default: `default_window` of the length.

    Source:
        Vincent, Gribonval, Plumbley (2007), "Oracle estimators for the benchmarking of source separation
        algorithms"; Liutkus and Badeau (2015), "Generalized Wiener filtering with fractional power
        spectrograms", equation 8.
    """
    shares = scales.to(sources)[:, None, None] * sources
    window = window or default_window(sources.shape[-1])
    spectra = _stft(shares, window)
    weights = spectra.abs().pow(power)
    total = weights.sum(-4, keepdim=True)
    # where every source is zero any masks will do, if they add up to one
    masks = torch.where(total > 0, weights / total, 1 / shares.shape[-3])
    estimates = _istft(masks * spectra.sum(-4, keepdim=True), window, sources.shape[-1])
    return estimates / scales.to(sources)[:, None, None]


def default_window(length: int) -> int:
    """The largest power of two in [64, 2048] that is not above ``length`` samples: steady tones want the
    longest window there is.

    Example:
        >>> default_window(1024), default_window(44100), default_window(10)
        (1024, 2048, 64)
    """
    return min(2048, max(64, 1 << (length.bit_length() - 1)))


def _stft(x: Tensor, window: int) -> Tensor:
    """(..., T) -> (..., F, N) complex."""
    hann = torch.hann_window(window, dtype=x.dtype, device=x.device)
    flat = torch.stft(
        x.reshape(-1, x.shape[-1]), window, window // 4, window=hann, pad_mode="constant", return_complex=True
    )
    return flat.reshape(*x.shape[:-1], *flat.shape[-2:])


def _istft(spectra: Tensor, window: int, length: int) -> Tensor:
    """(..., F, N) complex -> (..., T)."""
    hann = torch.hann_window(window, dtype=spectra.real.dtype, device=spectra.device)
    flat = torch.istft(
        spectra.reshape(-1, *spectra.shape[-2:]), window, window // 4, window=hann, length=length
    )
    return flat.reshape(*spectra.shape[:-2], length)
