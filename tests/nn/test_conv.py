import contracts
import pytest
import torch
from torch import nn

from vsep_ray.nn.conv import Conv, Norm, ResidualBlock, zero_init


@pytest.mark.parametrize("change", [{}, {"stride": 2}, {"dilation": 4, "padding": 4}, {"kernel_size": 1}])
def test_a_convolution_is_torch_s_own_with_channels_side_by_side(change):
    options = {"kernel_size": 3, **change}
    ours, torchs = Conv(5, 7, **options).double(), nn.Conv1d(5, 7, **options).double()
    ours.load_state_dict(torchs.state_dict())
    results = []
    for layer in (ours, torchs):
        x = torch.randn(2, 5, 21, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        y = layer(x.requires_grad_())
        y.square().sum().backward()
        results.append((y, x.grad, layer.weight.grad, layer.bias.grad))
    torch.testing.assert_close(*results)
    assert results[0][0].mT.is_contiguous()


@pytest.mark.parametrize("learns", [True, False])
def test_a_normalisation_is_torch_s_own_whether_or_not_its_input_learns(learns):
    ours, torchs = Norm(6).double(), nn.GroupNorm(1, 6).double()
    x = torch.randn(2, 6, 9, dtype=torch.float64, requires_grad=learns)
    for norm in (ours, torchs):
        norm(x).square().sum().backward()
    torch.testing.assert_close(ours(x), torchs(x))
    torch.testing.assert_close(ours.weight.grad, torchs.weight.grad)


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
