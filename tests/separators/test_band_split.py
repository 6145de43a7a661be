import contracts
import pytest
import torch

from vsep_ray.config import UserError, members, short_name
from vsep_ray.separators import BandSplitConfig
from vsep_ray.separators.band_split import BlockConfig

BLOCKS = {short_name(c): c() for c in members(BlockConfig)}


def small(block):
    return BandSplitConfig(n_fft=64, hop=16, width=8, blocks=2, block=block)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("check", contracts.BACKBONE_CHECKS)
@pytest.mark.parametrize("name", BLOCKS)
def test_contract(name, check, channels):
    torch.manual_seed(0)
    check(small(BLOCKS[name]), channels)


def test_without_masks_of_its_own_the_shares_are_equal_parts():
    backbone, mixture = small(BLOCKS["convolutionblock"]).build(4, 2), torch.randn(2, 2, 160)
    for layer in backbone.masks.out:
        torch.nn.init.zeros_(layer.weight)
    shares = backbone(mixture)[:, :, 0]
    torch.testing.assert_close(shares, (mixture / 4).unsqueeze(1).expand_as(shares), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("wrong", [{"hop": 24}, {"width": 10}, {"ratio": 0.0}])
def test_shapes_that_do_not_fit_are_refused(wrong):
    with pytest.raises(UserError, match="bandsplit needs"):
        BandSplitConfig(n_fft=64, **wrong)
