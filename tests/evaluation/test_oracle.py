import pytest
import torch

from vsep_ray.evaluation.oracle import oracle_mask
from vsep_ray.evaluation.sdr import si_sdr


def tones(length=4096):
    time = torch.arange(length) / 8000
    return torch.stack([torch.sin(2 * torch.pi * f * time) for f in (250.0, 1000.0, 3000.0)])[:, None]


@pytest.mark.parametrize("scales", [torch.ones(3), torch.full((3,), 1 / 3), torch.tensor([0.5, 1.0, 2.0])])
def test_oracle_separates_disjoint_tones_and_mixes_exactly(scales):
    sources = tones()
    estimates = oracle_mask(sources, scales)
    assert si_sdr(estimates, sources).min() > 25
    share = scales[:, None, None]
    torch.testing.assert_close((share * estimates).sum(0), (share * sources).sum(0), atol=1e-5, rtol=0)


@pytest.mark.parametrize("length", [1, 63, 1000])
def test_oracle_takes_any_length_and_silence(length):
    sources = torch.zeros(2, 3, 2, length)
    sources[:, 0] = torch.randn(2, 2, length)
    estimates = oracle_mask(sources, torch.ones(3))
    torch.testing.assert_close(estimates, sources, atol=1e-5, rtol=0)


def test_ceiling_is_above_the_floor():
    sources = torch.randn(3, 2, 8000, generator=torch.Generator().manual_seed(0))
    floor = si_sdr(sources.sum(0).expand_as(sources), sources)
    assert (si_sdr(oracle_mask(sources, torch.ones(3)), sources) > floor + 3).all()
