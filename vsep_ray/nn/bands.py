"""Spectra in bands: how the bins of a frame become a few bands of equal width in the network, and back."""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Band(NamedTuple):
    """Neighbouring bins: the first, how many masks they have, and how many bins share each mask."""

    start: int
    masks: int
    bins_per_mask: int

    @property
    def width(self) -> int:
        """Bins, of which those of the last band may lie beyond the spectrum."""
        return self.masks * self.bins_per_mask


def bands(bins: int, narrowest: int, ratio: float, masks: int) -> list[Band]:
    """Returns bands that cover a spectrum: ``narrowest`` bins wide where harmonics lie close, and from
    there on a share of 1 / ``ratio`` of their own frequency, with at most ``masks`` masks each.

    Reference: Luo & Yu, Music source separation with band-split RNN, 2023.
    Deviation: one rule in place of a table per instrument.

    Example:
        >>> [(b.start, b.width) for b in bands(33, 4, 2, 4)]
        [(0, 4), (4, 4), (8, 4), (12, 6), (18, 9), (27, 6)]
    """
    found = []
    start = 0
    while start < bins:
        width = min(max(narrowest, round(start / ratio)), bins - start)
        shared = -(-width // masks)
        found.append(Band(start, -(-width // shared), shared))
        start += found[-1].width
    return found


class SplitBands(nn.Module):
    """A linear map per band, from all that a frame has in it to ``width`` features.

    Args:
        found: the bands.
        values: numbers per bin.
        width: features per band.

    Shape: (B, N, values, F) -> (B, N, bands, width).
    """

    def __init__(self, found: list[Band], values: int, width: int) -> None:
        super().__init__()
        self.widths = [b.width for b in found]
        self.maps = nn.ModuleList(nn.Linear(values * w, width) for w in self.widths)

    def forward(self, frames: Tensor) -> Tensor:
        """Returns the features of each band. Shape: (B, N, values, F) -> (B, N, bands, width)."""
        padded = nn.functional.pad(frames, (0, sum(self.widths) - frames.shape[-1]))
        parts = padded.split(self.widths, -1)
        return torch.stack([m(p.flatten(2)) for m, p in zip(self.maps, parts, strict=True)], 2)


class BandMasks(nn.Module):
    """Complex masks, by a network of one hidden layer per band.

    Args:
        found: the bands.
        sources, channels: K and C.
        width: features per band.

    Shape: (B, N, bands, width), spectrum (B, N, C, F) complex -> (B, N, K, C, F) complex; the masks start
    near 1 / K.
    """

    def __init__(self, found: list[Band], sources: int, channels: int, width: int) -> None:
        super().__init__()
        self.bands, self.sources, self.channels = found, sources, channels
        self.hidden = nn.ModuleList(nn.Linear(width, 2 * width) for _ in found)
        self.out = nn.ModuleList(
            _small(nn.Linear(2 * width, sources * channels * b.masks * 2)) for b in found
        )

    def forward(self, features: Tensor) -> list[Tensor]:
        """Returns the masks of each band, real and imaginary. Shape: -> (B, N, K C masks 2)."""
        hidden = (nn.functional.gelu(h(x)) for h, x in zip(self.hidden, features.unbind(2), strict=True))
        return [out(x) for out, x in zip(self.out, hidden, strict=True)]

    def apply_to(self, spectrum: Tensor, raw: list[Tensor]) -> Tensor:
        """Returns what each source has of a spectrum. Shape: (B, N, C, F) -> (B, N, K, C, F)."""
        last = self.bands[-1]
        padded = nn.functional.pad(spectrum, (0, last.start + last.width - spectrum.shape[-1]))
        parts = zip(self.bands, raw, padded.split([b.width for b in self.bands], -1), strict=True)
        return torch.cat([self._masked(*part) for part in parts], -1)[..., : spectrum.shape[-1]]

    def _masked(self, band: Band, raw: Tensor, part: Tensor) -> Tensor:
        pairs = raw.unflatten(-1, (self.sources, self.channels, band.masks, 1, 2))
        masks = torch.view_as_complex(pairs) + 1 / self.sources
        shared = part.unflatten(-1, (band.masks, band.bins_per_mask)).unsqueeze(2)
        return (masks * shared).flatten(-2)


def _small(layer: nn.Linear) -> nn.Linear:
    nn.init.normal_(layer.weight, std=0.1 / layer.in_features**0.5)
    nn.init.zeros_(layer.bias)
    return layer
