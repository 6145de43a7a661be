"""Inference on Gaussian sources, whose posterior is known in closed form."""

import dataclasses

import pytest
import torch
from gaussian import ExactSeparator, white

from vsep_ray.inference import amortized, amortized_with_variance, langevin, refine, uncertainty
from vsep_ray.joint import Joint
from vsep_ray.methods import LangevinConfig, RefineConfig
from vsep_ray.mixing import LinearMixing
from vsep_ray.nn.normal import normal

STDS = {"a": 1.0, "b": 2.0}
SCALES = (0.5, 1.0)


def joint(noise_std=0.0, length=4):
    return Joint({k: white(v, length) for k, v in STDS.items()}, LinearMixing(SCALES, noise_std))


def equal_parts(noise_std=0.0):
    """A separator that knows nothing: its sources have the same spread."""
    return ExactSeparator(dict.fromkeys(STDS, 1.0), LinearMixing(SCALES, noise_std))


def exact(mixture, noise_std, blur=0.0):
    """The posterior of sources whose variances are those of the priors and of the blur."""
    stds = {k: (v**2 + blur**2) ** 0.5 for k, v in STDS.items()}
    return ExactSeparator(stds, LinearMixing(SCALES, noise_std))(mixture)


def test_amortized_is_the_posterior_mean_without_a_graph():
    separator = ExactSeparator({"a": 1.0, "b": 2.0}, LinearMixing((1.0, 1.0)))
    mixture = torch.randn(2, 1, 8, requires_grad=True)
    estimates = amortized(mixture, separator=separator)
    assert not estimates.requires_grad
    torch.testing.assert_close(estimates[:, 0], 0.2 * mixture.detach())
    torch.testing.assert_close(estimates[:, 1], 0.8 * mixture.detach())


class Independent(ExactSeparator):
    """The family that does not know of the mixing constraint."""

    def forward(self, mixture):
        q = super().forward(mixture)
        return torch.distributions.Independent(normal(q.mean, q.variance.sqrt()), 3)


@pytest.mark.parametrize("family", [ExactSeparator, Independent])
@pytest.mark.parametrize("noise_std", [0.0, 0.7])
def test_draws_estimate_the_variances_of_sums_of_sources(family, noise_std, float64):
    separator = family(STDS, LinearMixing(SCALES, noise_std))
    mixture = torch.randn(3, 1, 4)
    matrix = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    shares, variance = amortized_with_variance(mixture, separator=separator, samples=20_000, matrix=matrix)
    torch.testing.assert_close(shares, separator.mixing.shares(amortized(mixture, separator=separator)))
    single = separator(mixture).variance * torch.tensor(SCALES)[:, None, None] ** 2
    torch.testing.assert_close(variance[:, :2], single, rtol=0.05, atol=0)
    if family is Independent:
        torch.testing.assert_close(variance[:, 2], single.sum(1), rtol=0.05, atol=0)
    elif noise_std == 0:  # the sum is the mixture
        assert variance[:, 2].max() < 1e-20


@pytest.mark.parametrize("noise_std", [0.0, 0.05, 0.7])
def test_refinement_ends_at_the_posterior_mean_of_the_blurred_priors(noise_std, float64):
    mixture, blur = torch.randn(2, 1, 4), 0.3
    args = {"separator": equal_parts(noise_std), "joint": joint(noise_std), "sigma": blur}
    torch.manual_seed(0)
    runs = torch.stack([refine(mixture, steps=600, step_size=0.5, **args) for _ in range(50)])
    expected = exact(mixture, noise_std, blur).mean
    z = (runs.mean(0) - expected) / (runs.std(0) / 50**0.5)
    assert z.abs().max() < 5 and (runs.mean(0) - expected).abs().max() < 0.05
    assert (equal_parts(noise_std)(mixture).mean - expected).abs().max() > 0.1, "it moved"


@pytest.mark.parametrize("method", [refine, langevin])
def test_exact_mixing_is_held_to_rounding_at_any_length(method):
    mixture = torch.randn(2, 1, 7)
    options = dataclasses.asdict(LangevinConfig() if method is langevin else RefineConfig())
    sources = method(mixture, separator=equal_parts(), joint=joint(length=8), **options)
    assert sources.shape == (2, 2, 1, 7) and not sources.requires_grad
    assert (joint().mixing.mix(sources) - mixture).abs().max() < 1e-6


@pytest.mark.parametrize("noise_std", [0.0, 0.5])
def test_langevin_draws_have_the_posteriors_mean_and_variance(noise_std, float64):
    mixture = torch.randn(1, 1, 4).expand(4_000, -1, -1)
    torch.manual_seed(1)
    levels = (2.0, 1.0, 0.5, 0.25, 0.12, 0.06)
    options = {"sigmas": levels, "steps": 150, "step_size": 0.1}
    draws = langevin(mixture, joint=joint(noise_std), separator=equal_parts(noise_std), **options)
    q = exact(mixture[:1], noise_std)
    z = (draws.mean(0) - q.mean[0]) / (q.variance[0] / 4_000).sqrt()
    assert z.abs().max() < 5
    assert (draws.var(0) / q.variance[0] - 1).abs().max() < 0.12


def test_averaging_draws_lowers_their_spread(float64):
    mixture = torch.randn(1, 1, 4).expand(500, -1, -1)
    args = {"separator": equal_parts(), "joint": joint(), "sigmas": (1.0, 0.5), "steps": 20, "step_size": 0.3}
    torch.manual_seed(2)
    one, many = langevin(mixture, **args), langevin(mixture, samples=8, **args)
    assert (many.var(0) / one.var(0)).mean() == pytest.approx(1 / 8, rel=0.2)


def test_uncertainty_is_a_root_mean_square_per_frame():
    std = torch.tensor([3.0, 3.0, 4.0, 4.0, 5.0]).expand(1, 1, 2, 5)
    torch.testing.assert_close(uncertainty(std, 2), torch.tensor([[[3.0, 4.0, 5.0]]]))
