"""Mel-frequency cepstral coefficients say what a frame sounds like, without its phase."""

import math

import torch
from torch import Tensor

from vsep_ray.transforms.stft import stft

FLOOR = 1e-6
"""Power below which a band counts as silent."""


def mfcc(x: Tensor, sample_rate: int, hop: int, bands: int = 24, coefficients: int = 13) -> Tensor:
    """Returns the lowest cosine coefficients of the log power in mel bands, for each window of 4 hops.

    Shape: (B, C, T) -> (B, C, coefficients, T / hop); T a multiple of ``hop``.

    Args:
        sample_rate: Hz.
        hop: samples between frames.
        bands: mel bands from 0 to the Nyquist frequency.
        coefficients: number of cosine coefficients, the mean log power first.

    Reference: Davis & Mermelstein, Comparison of parametric representations for monosyllabic word
    recognition, 1980; mel scale of O'Shaughnessy, 1987.
    """
    power = stft(x, 4 * hop, hop)[..., :-1].abs() ** 2
    log_bands = torch.log(mel_filters(bands, 2 * hop + 1, sample_rate).to(power) @ power + FLOOR)
    k, band = torch.arange(coefficients)[:, None], torch.arange(bands) + 0.5
    cosines = torch.cos(math.pi / bands * k * band) * math.sqrt(2 / bands)
    cosines[0] /= math.sqrt(2)
    return cosines.to(power) @ log_bands


def mel_filters(bands: int, bins: int, sample_rate: int) -> Tensor:
    """Returns triangular filters, equally spaced in mel = 2595 log10(1 + f / 700).

    Shape: -> (bands, bins).
    """
    top = 2595 * math.log10(1 + sample_rate / 2 / 700)
    edges = 700 * (10 ** (torch.linspace(0, top, bands + 2) / 2595) - 1)
    low, center, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    frequency = torch.linspace(0, sample_rate / 2, bins)
    rise, fall = (frequency - low) / (center - low), (high - frequency) / (high - center)
    return torch.minimum(rise, fall).clamp_min(0)
