"""p(m, s) of Gaussian sources, where everything is known."""

import pytest
import torch
from gaussian import white
from torch.distributions import Normal

from vsep_ray.joint import Joint
from vsep_ray.mixing import LinearMixing

LENGTH = 4
STDS = {"quiet": 0.2, "loud": 0.7}


def joint(noise_std=0.3):
    return Joint({k: white(v, LENGTH) for k, v in STDS.items()}, LinearMixing((0.5, 1.0), noise_std))


def draw():
    torch.manual_seed(0)
    return torch.randn(3, 2, 1, LENGTH), torch.randn(3, 1, LENGTH), torch.tensor([0.1, 0.5, 1.0])


def test_log_prior_is_one_column_per_source_at_each_items_level(float64):
    sources, _, sigma = draw()
    columns = joint().log_prior_surrogate(sources, sigma)
    for k, std in enumerate(STDS.values()):
        scale = (std**2 + sigma**2).sqrt()[:, None, None]
        torch.testing.assert_close(columns[:, k], Normal(0.0, scale).log_prob(sources[:, k]).sum((1, 2)))


def test_the_likelihood_is_that_of_the_weighted_sum(float64):
    sources, mixture, _ = draw()
    likelihood = Normal(0.5 * sources[:, 0] + sources[:, 1], 0.3).log_prob(mixture).sum((1, 2))
    torch.testing.assert_close(joint().log_likelihood(sources, mixture), likelihood)
    assert joint(0.0).log_likelihood(sources, mixture).tolist() == [0, 0, 0]


def test_the_score_is_the_gradient_of_the_log_densities(float64):
    sources, _, sigma = draw()
    leaf = sources.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(joint().log_prior_surrogate(leaf, sigma).sum(), leaf)
    torch.testing.assert_close(joint().prior_score(sources, sigma), gradient)


def test_priors_are_frozen_and_stay_in_eval_mode():
    prior = white(1.0, LENGTH)
    prior.gain = torch.nn.Parameter(torch.ones(()))
    frozen = Joint({"a": prior}, LinearMixing((1.0,)))
    torch.nn.Sequential(frozen).train()
    assert not prior.training and not frozen.training
    assert not any(p.requires_grad for p in frozen.parameters())


def test_the_noise_range_is_what_all_priors_know():
    priors = {"a": white(1.0, LENGTH), "b": white(1.0, LENGTH)}
    priors["a"].noise_range, priors["b"].noise_range = (0.01, 1.0), (0.001, 0.5)
    assert Joint(priors, LinearMixing((1.0, 1.0))).noise_range == (0.01, 0.5)


def test_priors_of_different_formats_are_refused():
    priors = {"a": white(1.0, LENGTH), "b": white(1.0, LENGTH)}
    priors["b"].sample_rate = 44_100
    with pytest.raises(ValueError, match="44100"):
        Joint(priors, LinearMixing((1.0, 1.0)))
