"""Every bijection against automatic differentiation in float64, and what each one adds to that."""

import contracts
import pytest
import torch

from vsep_ray.nn.bijections import ActNorm, Coupling, InvertibleConv, Squeeze


@pytest.mark.parametrize("check", contracts.BIJECTION_CHECKS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("name", contracts.BIJECTIONS)
def test_contract(name, check, float64):
    torch.manual_seed(0)
    x, context = torch.randn(2, 4, 8), torch.randn(2, contracts.ARGUMENTS["context"])
    check(contracts.build_bijection(contracts.BIJECTIONS[name]), x, context)


@pytest.mark.parametrize("check", contracts.BIJECTION_CHECKS, ids=lambda c: c.__name__)
def test_an_additive_coupling_keeps_the_contract_and_the_volume(check, float64):
    torch.manual_seed(0)
    x, context = torch.randn(2, 4, 8), torch.randn(2, contracts.ARGUMENTS["context"])
    coupling = contracts.build_bijection(Coupling, affine=False)
    check(coupling, x, context)
    assert coupling(x, context)[1].tolist() == [0, 0]


def test_squeeze_puts_neighbours_side_by_side():
    y, _ = Squeeze(3)(torch.arange(6.0).reshape(1, 1, 6), torch.zeros(1, 0))
    assert y.tolist() == [[[0, 3], [1, 4], [2, 5]]]


def test_actnorm_starts_at_the_statistics_of_the_first_training_batch():
    norm, x = ActNorm(3), 5 + 2 * torch.randn(8, 3, 100)
    context = torch.zeros(8, 0)
    assert torch.equal(norm.eval()(x, context)[0], x), "evaluation starts nothing"
    y, _ = norm.train()(x, context)
    torch.testing.assert_close(y.mean((0, 2)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(y.var((0, 2)), torch.ones(3), atol=1e-2, rtol=0)
    mean = norm.mean.clone()
    norm(x + 100, context)
    assert torch.equal(norm.mean, mean), "only the first batch"


def test_actnorm_waits_for_a_finite_batch():
    norm = ActNorm(2).train()
    norm(torch.full((1, 2, 4), torch.nan), torch.zeros(1, 0))
    assert not norm.started and torch.isfinite(norm.mean).all()


def test_invertible_conv_starts_as_a_rotation():
    x = torch.randn(2, 6, 5)
    y, ladj = InvertibleConv(6)(x, torch.zeros(2, 0))
    torch.testing.assert_close(y.norm(dim=1), x.norm(dim=1))
    torch.testing.assert_close(ladj, torch.zeros(2), atol=1e-5, rtol=0)


def test_affine_coupling_starts_as_the_identity_and_its_scale_is_bounded():
    coupling, x, context = Coupling(4, 6, 1, 3), torch.randn(2, 4, 5), torch.randn(2, 3)
    assert torch.equal(coupling(x, context)[0], x)
    contracts.jiggle(coupling, 100)
    assert coupling(x, context)[1].abs().max() <= 2 * 2 * 5
