import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vsep_ray.nn.bands import BandMasks, SplitBands, bands


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 3_000), st.integers(1, 9), st.floats(0.5, 40), st.integers(1, 40))
def test_bands_cover_a_spectrum_without_gaps(bins, narrowest, ratio, masks):
    found = bands(bins, narrowest, ratio, masks)
    assert [b.start for b in found] == [0, *(b.start + b.width for b in found[:-1])]
    last = found[-1]
    assert last.start < bins <= last.start + last.width < bins + last.bins_per_mask
    assert all(1 <= b.masks <= masks for b in found)


def test_bands_are_narrow_below_and_wide_above():
    found = bands(2_049, 4, 12.0, 24)
    assert [b.width for b in found[:12]] == [4] * 12
    assert len([b for b in found if b.start > 2_049 * 8_000 / 22_050]) < len(found) / 4


def test_each_band_hears_its_own_bins_only():
    found = bands(33, 4, 2.0, 4)
    split, frames = SplitBands(found, 2, 5), torch.randn(1, 3, 2, 33)
    changed = frames.clone()
    changed[..., found[2].start : found[3].start] += 1
    moved = (split(changed) != split(frames)).any(-1)[0]
    assert moved[:, 2].all()
    assert not moved[:, [0, 1, *range(3, len(found))]].any()


@pytest.mark.parametrize("masks", [1, 3, 40])
def test_masks_multiply_their_bins_and_start_near_equal_parts(masks):
    found = bands(33, 4, 2.0, masks)
    layer, spectrum = BandMasks(found, 3, 2, 8), torch.randn(2, 5, 2, 33, dtype=torch.complex64)
    raw = layer(torch.randn(2, 5, len(found), 8))
    parts = layer.apply_to(spectrum, raw)
    assert parts.shape == (2, 5, 3, 2, 33)
    torch.testing.assert_close(parts, spectrum.unsqueeze(2).expand_as(parts) / 3, atol=0.5, rtol=0.5)
    silent = layer.apply_to(torch.zeros_like(spectrum), raw)
    assert not silent.any()


def test_bins_that_share_a_mask_are_turned_alike():
    found = bands(12, 12, 1.0, 3)
    layer = BandMasks(found, 2, 1, 4)
    torch.nn.init.normal_(layer.out[0].weight)
    raw = layer(torch.randn(1, 1, 1, 4))
    masks = layer.apply_to(torch.ones(1, 1, 1, 12, dtype=torch.complex64), raw)[0, 0, 0, 0]
    assert len(set(masks.tolist())) == 3
    assert masks[0] == masks[3]
