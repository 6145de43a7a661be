"""The ceiling beside every score: masks that know the sources."""

import torch
from torch import Tensor

from vsep_ray.transforms.stft import istft, stft


def oracle_mask(sources: Tensor, scales: Tensor) -> Tensor:
    """Returns the ceiling of masking: estimates by Wiener-like masks that know the sources. For the mixture m
    = sum_k a_k s_k they are s^_k = iSTFT(M |a_k S_k|^2 / sum_j |a_j S_j|^2) / a_k.

    The phase is the mixture's, so this is a ceiling for real masks only: models that estimate the phase can
    pass it. Exact mixing is kept: sum_k a_k s^_k = m.

    Args:
        sources: the references.
        scales: the a_k of the mixing.

    Shape: sources (..., K, C, T), scales (K,) -> (..., K, C, T).
    Reference: Vincent, Gribonval & Plumbley, Oracle estimators for the benchmarking of source separation
    algorithms, 2007; Liutkus & Badeau, Generalized Wiener filtering with fractional power spectrograms, 2015,
    eq. 8 (with power 2).
    """
    scales = scales.to(sources)[:, None, None]
    window = default_window(sources.shape[-1])
    spectra = stft(scales * sources, window, window // 4)
    power = spectra.abs().square()
    total = power.sum(-4, keepdim=True)
    # where every source is zero any masks will do, if they add up to one
    masks = torch.where(total > 0, power / total, 1 / sources.shape[-3])
    return istft(masks * spectra.sum(-4, keepdim=True), window // 4, sources.shape[-1]) / scales


def default_window(length: int) -> int:
    """Returns the largest power of two in [64, 2048] that is not above ``length`` samples; steady tones want
    long windows.

    Example:
        >>> default_window(1024), default_window(44100), default_window(10)
        (1024, 2048, 64)
    """
    return min(2048, max(64, 1 << (length.bit_length() - 1)))
