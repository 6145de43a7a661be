"""The spectrogram flow is a density of the waveform: it integrates to 1 over waveforms."""

import math

import contracts
import pytest
import torch

from vsep_ray.config import UserError
from vsep_ray.priors import SpectrogramGlowConfig

TINY = SpectrogramGlowConfig(bins=2, steps=2, width=6, layers=1, embedding=4)


@pytest.mark.parametrize("noise_std", [0.003, 1.0])
def test_the_density_integrates_to_one_over_waveforms(noise_std, float64):
    torch.manual_seed(0)
    prior = contracts.jiggle(TINY.build(8_000, 1).double(), 0.3).eval()
    axis = torch.linspace(-12, 12, 401) * math.hypot(noise_std, TINY.data_std)
    grid = torch.cartesian_prod(axis, axis)[:, None]
    with torch.no_grad():
        density = prior.log_prob(grid, torch.full((len(grid),), noise_std)).exp()
    assert density.sum().item() * (axis[1] - axis[0]).item() ** 2 == pytest.approx(1, abs=2e-3)


def test_an_odd_number_of_bins_is_refused():
    with pytest.raises(UserError, match="even"):
        SpectrogramGlowConfig(bins=3).build(8_000, 1)
