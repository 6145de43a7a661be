"""The score model with a denoiser whose law is known: density, score and samples are those of a Gaussian."""

import contracts
import pytest
import torch
from gaussian import GaussianPrior

from vsep_ray.priors import ScoreConfig
from vsep_ray.priors.prior import draw_noise_levels, per_item_noise
from vsep_ray.priors.score import ScorePrior

LENGTH = 32
VARIANCES = torch.logspace(0, -5, LENGTH) * 0.5


def exact(monkeypatch, **changes):
    """A score prior whose denoiser is the posterior mean of a Gaussian. Its Jacobian is diagonal, so that
    Hutchinson's probe is exact."""
    config = ScoreConfig(n_fft=32, hop=8, width=8, blocks=1, embedding=4, **changes)
    prior, law = ScorePrior(config, 8_000, 1).double(), GaussianPrior(VARIANCES.double())
    law.basis.copy_(torch.eye(LENGTH))

    def denoise(x, noise_std):
        gain = law.variances / (law.variances + noise_std[:, None, None] ** 2)
        return ((x @ law.basis.T) * gain) @ law.basis

    monkeypatch.setattr(prior, "denoise", denoise)
    return prior, law


@pytest.mark.parametrize("noise_std", [0.003, 0.1, 1.0, 20.0])
def test_the_integral_gives_the_log_density(noise_std, monkeypatch, float64):
    """Up to the discretisation."""
    torch.manual_seed(0)
    prior, law = exact(monkeypatch)
    level = torch.full((16,), noise_std)
    x = law.sample(16, LENGTH) + noise_std * torch.randn(16, 1, LENGTH)
    estimate, expected = prior.log_prob(x, level), law.log_prob(x, level)
    assert ((estimate - expected) / LENGTH).abs().max() < 0.02


def test_more_steps_come_closer(monkeypatch, float64):
    errors = []
    for steps in (6, 24, 96):
        prior, law = exact(monkeypatch, ode_steps=steps)
        torch.manual_seed(0)
        x, level = law.sample(64, LENGTH), torch.full((64,), 0.01)
        noisy = x + 0.01 * torch.randn(x.shape)
        errors.append((prior.log_prob(noisy, level) - law.log_prob(noisy, level)).abs().mean() / LENGTH)
    assert errors[2] < errors[1] < errors[0]


def test_the_score_is_that_of_the_density_and_the_gradient_of_log_prob(monkeypatch, float64):
    prior, law = exact(monkeypatch)
    x, level = torch.randn(3, 1, LENGTH, requires_grad=True), torch.tensor([0.01, 0.1, 2.0])
    torch.testing.assert_close(prior.score(x, level), law.score(x.detach(), level))
    (gradient,) = torch.autograd.grad(prior.log_prob(x, level).sum(), x)
    torch.testing.assert_close(gradient, prior.score(x, level))


def test_samples_have_the_variances_of_the_law(monkeypatch, float64):
    torch.manual_seed(0)
    prior, law = exact(monkeypatch, sample_steps=100)
    coefficients = prior.sample(4_000, LENGTH) @ law.basis.T
    measured, expected = coefficients.var((0, 1)), VARIANCES + 0.003**2
    assert (measured / expected - 1).abs().max() < 0.15


def test_an_untrained_denoiser_is_the_wiener_filter_of_one_variance():
    """Zero-initialised ends: w = s^2 / (s^2 + sigma^2) in every bin."""
    prior = ScoreConfig().build(8_000, 1).eval()
    x, level = torch.randn(2, 1, 256), torch.tensor([0.1, 2.0])
    gain = 0.35**2 / (0.35**2 + level**2)
    torch.testing.assert_close(prior.denoise(x, level), gain[:, None, None] * x, rtol=1e-4, atol=1e-5)


def test_a_trace_of_more_probes_is_nearer_to_the_true_one():
    torch.manual_seed(0)
    errors = []
    for probes in (1, 64):
        prior = contracts.build_prior(ScoreConfig(probes=probes, n_fft=32, hop=8, width=8, blocks=1))
        x, level = torch.randn(4, 1, 32), torch.full((4,), 0.3)
        with torch.no_grad():
            estimate = prior._denoise_and_trace(x, level)[1]
        jacobian = torch.autograd.functional.jacobian(lambda v: prior.denoise(v, level), x)  # noqa: B023
        exact_trace = torch.einsum("bctbct->b", jacobian)
        errors.append((estimate - exact_trace).abs().mean())
    assert errors[1] < 0.5 * errors[0] and errors[1] < 1


def test_the_loss_weighs_noise_levels_as_edm_does():
    prior, x = ScoreConfig().build(8_000, 1), contracts.toy_clips("square")
    torch.manual_seed(0)
    terms = prior.loss(x)
    torch.manual_seed(0)
    level = draw_noise_levels(len(x), prior.noise_range, x)
    error = (prior.denoise(per_item_noise(x, level), level) - x).square().mean((1, 2))
    weight = (level**2 + 0.35**2) / (level * 0.35) ** 2
    torch.testing.assert_close(terms["loss"], (weight * error).mean())
