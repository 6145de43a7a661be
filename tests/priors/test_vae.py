"""The VAE against a linear Gaussian model, whose evidence and posterior are known."""

import dataclasses

import contracts
import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal

from vsep_ray.priors import VAEConfig

CONFIG = VAEConfig(hop=8, latent=2, width=16, blocks=1, embedding=4)
STD = 0.2


class LinearDecoder(nn.Module):
    """x = W z per frame, with noise of a fixed standard deviation."""

    def __init__(self, weight):
        super().__init__()
        self.weight = weight

    def forward(self, z):
        frames = torch.einsum("tl,bln->bnt", self.weight, z)
        mean = frames.reshape(len(z), 1, -1)
        return mean, torch.full_like(mean, STD)


class ExactEncoder(nn.Module):
    """The posterior of `LinearDecoder`, off by a factor in its standard deviations."""

    def __init__(self, weight, widen=1.0):
        super().__init__()
        self.weight, self.widen = weight, widen

    def forward(self, x, noise_std):
        variance = STD**2 + noise_std[0] ** 2
        precision = self.weight.T @ self.weight / variance + torch.eye(self.weight.shape[1])
        assert torch.allclose(precision, torch.diag(precision.diag())), "columns are orthogonal"
        frames = x.reshape(len(x), -1, self.weight.shape[0])
        mean = torch.einsum("tl,bnt->bln", self.weight, frames) / variance / precision.diag()[:, None]
        return mean, (self.widen / precision.diag().sqrt())[:, None].expand_as(mean)


def linear(widen=1.0):
    torch.manual_seed(0)
    weight = torch.linalg.qr(torch.randn(8, 2))[0] * torch.tensor([0.9, 0.4])
    prior = CONFIG.build(8_000, 1).double()
    prior.encoder, prior.decoder = ExactEncoder(weight, widen), LinearDecoder(weight)
    return prior, weight


def bound(prior, x, level, draws):
    prior.config = dataclasses.replace(prior.config, draws=draws)
    return prior.log_prob(x, level)


@pytest.mark.parametrize("noise_std", [0.003, 0.1, 1.0])
@pytest.mark.parametrize("draws", [1, 5])
def test_with_the_exact_posterior_the_bound_is_the_evidence(noise_std, draws, float64):
    prior, weight = linear()
    x = 0.5 * torch.randn(4, 1, 24)
    covariance = weight @ weight.T + (STD**2 + noise_std**2) * torch.eye(8)
    evidence = MultivariateNormal(torch.zeros(8), covariance).log_prob(x.reshape(4, 3, 8)).sum(1)
    torch.testing.assert_close(bound(prior, x, torch.full((4,), noise_std), draws), evidence)


def test_more_importance_samples_give_a_higher_bound_below_the_evidence(float64):
    x, level = 0.5 * torch.randn(400, 1, 8), torch.full((400,), 0.1)
    evidence = bound(linear()[0], x, level, 1).mean()
    prior = linear(widen=1.6)[0]
    bounds = [bound(prior, x, level, draws).mean() for draws in (1, 4, 16, 256)]
    assert bounds[0] < bounds[1] < bounds[2] < bounds[3] < evidence + 0.01
    assert bounds[0] < evidence - 0.3 and bounds[3] > evidence - 0.1


def test_iwae_is_at_least_the_elbo_for_a_trained_network_too():
    prior = contracts.build_prior(CONFIG)
    x, level = contracts.toy_clips("sawtooth"), torch.full((48,), 0.1)
    with torch.no_grad():
        elbo, iwae = bound(prior, x, level, 1).mean(), bound(prior, x, level, 64).mean()
    assert iwae > elbo


def test_distortion_and_rate_add_up_to_the_negative_elbo(float64):
    """The loss at beta = 1 is the mean of the bound with one draw; the draws differ, hence the tolerance."""
    prior = contracts.jiggle(
        VAEConfig(**{**vars(CONFIG), "noise_max": 0.00301}).build(8_000, 1), 0.05
    ).double()
    x = 0.3 * torch.randn(2_000, 1, 8)
    terms = prior.loss(x)
    torch.testing.assert_close(terms["loss"], terms["distortion"] + terms["rate"])
    level = torch.full((2_000,), 0.003)
    expected = -bound(prior, x + 0.003 * torch.randn(x.shape), level, 1).mean() / 8
    torch.testing.assert_close(terms["loss"], expected, rtol=0.05, atol=0.02)


def test_beta_weighs_the_rate():
    x = contracts.toy_clips("sawtooth")[:8]
    losses = {}
    for beta in (0.0, 1.0, 4.0):
        prior = contracts.jiggle(VAEConfig(**{**vars(CONFIG), "beta": beta}).build(8_000, 1), 0.0)
        prior.load_state_dict(contracts.build_prior(CONFIG).state_dict())
        torch.manual_seed(0)
        losses[beta] = prior.loss(x)
    for beta, terms in losses.items():
        torch.testing.assert_close(terms["loss"], terms["distortion"] + beta * terms["rate"])
