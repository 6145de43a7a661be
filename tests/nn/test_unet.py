import contracts
import pytest
import torch

from vsep_ray.nn.unet import UNet, _Join


@pytest.mark.parametrize("levels", [0, 1, 3])
@pytest.mark.parametrize("frames", [1, 2, 7, 16])
def test_any_number_of_frames_keeps_its_shape(levels, frames):
    unet = contracts.jiggle(UNet(6, levels, 2))
    y = unet(torch.randn(2, 6, frames))
    assert y.shape == (2, 6, frames) and torch.isfinite(y).all()


def test_the_way_up_joins_both_rates_by_one_layer():
    join, slow, fast = _Join(4).double(), torch.randn(2, 4, 5).double(), torch.randn(2, 4, 10).double()
    both = torch.cat([slow.repeat_interleave(2, -1), fast], 1)
    torch.testing.assert_close(join(slow, fast), torch.nn.functional.conv1d(both, join.weight, join.bias))


def test_every_parameter_learns():
    unet = contracts.jiggle(UNet(6, 2, 2))
    unet(torch.randn(2, 6, 9)).square().sum().backward()
    assert all(p.grad.any() for p in unet.parameters())
