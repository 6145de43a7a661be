import torch

from vsep_ray.transforms.mfcc import mel_filters, mfcc


def test_it_has_a_frame_per_hop_and_survives_silence():
    x = torch.zeros(2, 1, 640)
    x[1, :, 100] = 100
    c = mfcc(x, 8_000, 64)
    assert c.shape == (2, 1, 13, 10) and torch.isfinite(c).all()


def test_a_gain_moves_the_first_coefficient_only():
    torch.manual_seed(0)
    x = torch.randn(1, 1, 4_096)
    difference = (mfcc(10 * x, 8_000, 64) - mfcc(x, 8_000, 64)).abs()
    assert difference[:, :, 0].min() > 10
    assert difference[:, :, 1:].max() < 1e-2


def test_filters_cover_the_band_and_rise_in_order():
    filters = mel_filters(24, 129, 8_000)
    assert (filters.sum(1) > 0).all() and filters.max() <= 1
    centers = filters.argmax(1)
    assert (centers.diff() > 0).all() and centers[0] > 0 and centers[-1] < 128
