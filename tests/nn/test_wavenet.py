import contracts
import pytest
import torch

from vsep_ray.nn.wavenet import CachedWaveNet, GatedLayer, WaveNet


def test_a_gated_layer_computes_equation_2_of_the_paper(float64):
    layer = GatedLayer(width=2, context=3, kernel=1, dilation=1)
    x, context = torch.randn(1, 2, 4), torch.randn(1, 3, 1)
    hidden = layer.dilated(x) + layer.context(context)
    residual, skip = layer.out(torch.tanh(hidden[:, :2]) * torch.sigmoid(hidden[:, 2:])).chunk(2, 1)
    out, skipped = layer(x, context)
    torch.testing.assert_close(out, x + residual)
    torch.testing.assert_close(skipped, skip)


def test_it_starts_at_zero_and_keeps_the_length():
    net = WaveNet(1, 3, width=4, layers=3, context=2)
    x, context = torch.randn(2, 1, 16), torch.randn(2, 2)
    assert torch.equal(net(x, context), torch.zeros(2, 3, 16))
    assert contracts.jiggle(net)(x, context).shape == (2, 3, 16)


def test_its_receptive_field_is_that_of_its_dilations():
    torch.manual_seed(0)
    net = contracts.jiggle(WaveNet(1, 1, width=4, layers=3, context=2), 0.5)
    field = torch.autograd.functional.jacobian(
        lambda x: net(x, torch.zeros(1, 2))[0, 0, 20], torch.randn(1, 1, 41)
    )
    assert field.flatten().nonzero().flatten().tolist() == list(
        range(20 - 7, 20 + 8)
    )  # 1 + 2 + 4 to each side


def test_the_context_matters():
    net, x = contracts.jiggle(WaveNet(1, 1, width=4, layers=1, context=2)), torch.randn(1, 1, 8)
    assert not torch.equal(net(x, torch.zeros(1, 2)), net(x, torch.ones(1, 2)))


def causal(kernel=2):
    torch.manual_seed(0)
    return contracts.jiggle(WaveNet(2, 3, 5, layers=6, context=4, kernel=kernel, cycle=3, causal=True), 0.3)


def test_a_causal_stack_sees_no_later_sample(float64):
    net, context = causal(), torch.randn(1, 4)
    jacobian = torch.autograd.functional.jacobian(lambda x: net(x, context)[0], torch.randn(1, 2, 20))
    seen = jacobian.abs().sum((0, 2, 3)) > 0  # output t, input t'
    assert torch.equal(seen, torch.ones(20, 20).tril(0).bool() & ~torch.ones(20, 20).tril(-15).bool())


@pytest.mark.parametrize("kernel", [1, 2, 3])
@pytest.mark.parametrize("length", [1, 30])
def test_the_cache_computes_what_the_whole_pass_does(kernel, length, float64):
    net, x = causal(kernel), torch.randn(3, 2, 30)
    context = torch.randn(3, 4, length)
    whole = net(x, context)
    cached = CachedWaveNet(net, context)
    steps = torch.stack([cached.step(x[..., t]) for t in range(30)], -1)
    torch.testing.assert_close(steps, whole)
