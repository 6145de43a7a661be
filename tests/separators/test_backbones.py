"""The contract of backbones over the union of their configs, and their range of sizes."""

import contracts
import pytest
import torch

from vsep_ray.separators import DemucsConfig, NonCausalWaveNetConfig, SpectrogramUNetConfig, WaveUNetConfig

SMALL_AND_LARGE = [
    (SpectrogramUNetConfig(n_fft=128, hop=64, width=48, blocks=1), SpectrogramUNetConfig(width=2_000)),
    (NonCausalWaveNetConfig(width=24, post=32), NonCausalWaveNetConfig(width=600, layers=40, post=2_048)),
    (WaveUNetConfig(levels=4, width=8), WaveUNetConfig(levels=12, width=80)),
    (DemucsConfig(levels=2, width=24), DemucsConfig(levels=6, width=50)),
]


@pytest.mark.parametrize("check", contracts.BACKBONE_CHECKS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("channels", [1, 2], ids=["mono", "stereo"])
@pytest.mark.parametrize("name", contracts.BACKBONES)
def test_contract(name, channels, check):
    torch.manual_seed(0)
    check(contracts.BACKBONES[name], channels)


@pytest.mark.parametrize(("small", "large"), SMALL_AND_LARGE, ids=lambda c: type(c).__name__)
def test_a_backbone_has_1e5_to_1e8_parameters(small, large):
    with torch.device("meta"):
        sizes = [sum(p.numel() for p in c.build(4, 2).parameters()) for c in (small, large)]
    assert sizes[0] < 2e5 and sizes[1] > 8e7
