import pytest
import torch

from vsep_ray.transforms.mdct import imdct, mdct


@pytest.mark.parametrize(("bins", "frames"), [(2, 1), (4, 2), (8, 5), (64, 16)])
def test_it_is_orthonormal_at_every_length(bins, frames, float64):
    eye = torch.eye(bins * frames)
    matrix = mdct(eye, bins).flatten(1)
    torch.testing.assert_close(matrix @ matrix.T, eye)
    torch.testing.assert_close(imdct(mdct(eye, bins)), eye)


def test_leading_axes_are_kept():
    assert mdct(torch.randn(3, 2, 32), 8).shape == (3, 2, 8, 4)
    assert imdct(torch.randn(3, 2, 8, 4)).shape == (3, 2, 32)


def test_a_tone_lands_in_the_bin_of_its_frequency():
    time = torch.arange(1_024)
    tone = torch.sin(2 * torch.pi * 1_000 / 8_000 * time + 0.3)
    energy = mdct(tone, 64).square().sum(-1)
    assert energy.argmax() in (15, 16)  # 1 kHz of 4 kHz, in 64 bins
    assert energy[14:18].sum() > 0.95 * energy.sum()
