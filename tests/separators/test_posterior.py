"""The contract of posterior families over the union of their configs, and what sets them apart."""

import contracts
import pytest
import torch

from vsep_ray.mixing import LinearMixing
from vsep_ray.separators import ConditionedNormalConfig, FactorisedNormalConfig


@pytest.mark.parametrize("check", contracts.POSTERIOR_CHECKS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("name", contracts.POSTERIORS)
def test_contract(name, check):
    check(contracts.POSTERIORS[name])


def parameters(share, raw):
    return torch.stack([share, torch.full_like(share, raw)], 2)


def test_shares_are_divided_by_their_scales_and_levels_undone():
    mixing = LinearMixing((0.5, 0.25))
    share, level = torch.ones(1, 2, 1, 3), torch.tensor([[[2.0]]])
    q = FactorisedNormalConfig().posterior(parameters(share, 0.0), torch.zeros(1, 1, 3), level, mixing)
    assert q.mean[0, :, 0, 0].tolist() == [4, 8]
    torch.testing.assert_close(q.variance[0, 1, 0, 0].sqrt(), 2 * q.variance[0, 0, 0, 0].sqrt())


@pytest.mark.parametrize(
    "config", [ConditionedNormalConfig(), FactorisedNormalConfig()], ids=lambda c: type(c).__name__
)
def test_log_std_stays_between_its_bounds_with_a_living_gradient(config):
    raw = torch.tensor([-8.0, 0.0, 8.0], requires_grad=True)
    for i, low, high in ((0, -6.0, -5.5), (1, -6.0, 1.0), (2, 0.5, 1.0)):
        stacked = torch.stack([torch.zeros(()), raw[i]]).reshape(1, 1, 2, 1, 1)
        one = config.posterior(stacked, torch.zeros(1, 1, 1), torch.ones(1, 1, 1), LinearMixing((1.0,), 1e3))
        log_std = 0.5 * one.variance.log()
        assert low < log_std.item() < high
        (gradient,) = torch.autograd.grad(log_std.sum(), raw)
        assert gradient[i] > 1e-4


def test_only_the_conditioned_family_mixes_to_the_mixture():
    mixing = LinearMixing((0.5, 1.0, 0.25))
    generator = torch.Generator().manual_seed(0)
    mixture = torch.randn(4, 2, 5, generator=generator)
    error = {
        type(c): (mixing.mix(contracts.posterior_of(c).rsample()) - mixture).abs().max().item()
        for c in (ConditionedNormalConfig(), FactorisedNormalConfig())
    }
    assert error[FactorisedNormalConfig] > 0.1
