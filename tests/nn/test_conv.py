import contracts
import torch
from torch import nn

from vsep_ray.nn.conv import ResidualBlock, zero_init


def test_zero_init_leaves_nothing():
    layer = zero_init(nn.Conv1d(2, 3, 3))
    assert not layer.weight.any() and not layer.bias.any()
    assert zero_init(nn.Conv1d(2, 3, 3, bias=False)).bias is None


def test_a_residual_block_starts_as_the_identity_and_reaches_as_far_as_its_dilation():
    block, x = ResidualBlock(4, dilation=3), torch.randn(2, 4, 12)
    assert torch.equal(block(x), x)
    contracts.jiggle(block)
    assert block(x).shape == x.shape
    far = torch.autograd.functional.jacobian(lambda v: block.second(block.first(v))[0, 0, 6], x[:1])[0]
    assert far.abs().sum(0).nonzero().flatten().tolist() == [3, 6, 9]
