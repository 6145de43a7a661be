"""The short-time Fourier transform has a Hann window and an exact inverse at any length."""

from typing import Any

import torch
from torch import Tensor, nn


def stft(x: Tensor, n_fft: int, hop: int) -> Tensor:
    """Returns the complex short-time spectrum, its frames centred on multiples of ``hop`` samples, its edges
    padded with silence.

    Shape: (..., T) -> (..., F, N) complex, F = n_fft / 2 + 1, N = ceil(T / hop) + 1. Scaled by 1 /
    sqrt(n_fft), so that white noise keeps its variance up to the window's power.
    """
    # to a multiple of hop: without a frame behind it, the window all but ends on the last sample
    flat = nn.functional.pad(x.reshape(-1, x.shape[-1]), (0, -x.shape[-1] % hop))
    spectrum = torch.stft(
        flat, n_fft, hop, window=_window(n_fft, x), center=True, pad_mode="constant",
        normalized=True, return_complex=True,
    )  # fmt: skip
    return spectrum.reshape(*x.shape[:-1], *spectrum.shape[-2:])


def istft(spectrum: Tensor, hop: int, length: int) -> Tensor:
    """Returns the inverse of `stft` by weighted overlap-add.

    Shape: (..., F, N) complex -> (..., T) with T = length samples.
    """
    n_fft = 2 * (spectrum.shape[-2] - 1)
    flat = spectrum.reshape(-1, *spectrum.shape[-2:])
    x = torch.istft(
        flat, n_fft, hop, window=_window(n_fft, flat.real), center=True, normalized=True, length=length
    )
    return x.reshape(*spectrum.shape[:-2], length)


def resynthesis(frames: Tensor, hop: int, length: int) -> Tensor:
    """Returns what `istft` does, of spectra whose bins lie side by side; ``hop`` divides n_fft.

    Shape: (B, N, ..., F) complex -> (B, ..., T) with T = length samples.
    """
    n_fft = 2 * (frames.shape[-1] - 1)
    window = _window(n_fft, frames.real)
    pieces = torch.fft.irfft(frames, n_fft, norm="ortho")
    kept = slice(n_fft // 2, n_fft // 2 + length)
    envelope = _OverlapAdd.apply(window.expand(1, frames.shape[1], -1), window, hop)
    return _OverlapAdd.apply(pieces, window, hop)[..., kept] / envelope[0, kept]


class _OverlapAdd(torch.autograd.Function):
    """Windowed frames, added where they overlap. Shape: (B, N, ..., n_fft) -> (B, ..., T).

    `torch.nn.functional.fold` wants another order in memory, and passes over it thrice as often.
    """

    @staticmethod
    def forward(ctx: Any, frames: Tensor, window: Tensor, hop: int) -> Tensor:
        ctx.save_for_backward(window)
        ctx.hop = hop
        moved = frames.movedim(1, -2)
        num, overlap = moved.shape[-2], moved.shape[-1] // hop
        out = moved.new_zeros(*moved.shape[:-2], num + overlap - 1, hop)
        for i in range(overlap):
            part = slice(i * hop, (i + 1) * hop)
            out[..., i : i + num, :].addcmul_(moved[..., part], window[part])
        return out.flatten(-2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (window,) = ctx.saved_tensors
        frames = gradients[0].unfold(-1, len(window), ctx.hop)
        return (frames * window).movedim(-2, 1), None, None


def compress(spectrum: Tensor, exponent: float) -> Tensor:
    """Returns what networks read of a spectrum X: r, r cos(phase) and r sin(phase) with r = |X|^exponent.

    Shape: (B, C, F, N) complex -> (B, 3 C F, N), in memory (B, N, 3 C F), as convolutions want it.
    Reference: Yin et al., PHASEN, 2020 (the compressed magnitude).
    """
    magnitude = spectrum.abs().clamp_min(1e-6)  # the gradient of |X|^0.3 is infinite at silence
    # not a power: the last few in memory would come from other instructions (`chunking.places_are_equal`)
    compressed = (exponent * magnitude.log()).exp()
    factor = compressed / magnitude
    parts = (compressed, factor * spectrum.real, factor * spectrum.imag)
    return torch.cat([part.permute(0, 3, 1, 2).flatten(2) for part in parts], 2).mT


def _window(n_fft: int, like: Tensor) -> Tensor:
    return torch.hann_window(n_fft, dtype=like.dtype, device=like.device)
