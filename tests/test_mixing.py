"""The conditioned normal against the dense K x K formulas in float64, sample by sample."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal, Normal

from vsep_ray.mixing import ConditionedNormal, ConvolvedNormal, LinearMixing

SCALES = (0.5, 1.0, 0.25)
K, B, C, T = len(SCALES), 2, 2, 3


def draw(noise_std):
    """Means and standard deviations that differ in every element, and a mixture."""
    torch.manual_seed(0)
    mean, std = torch.randn(B, K, C, T), torch.rand(B, K, C, T) + 0.1
    mixture = torch.randn(B, C, T)
    return mean, std, mixture, LinearMixing(SCALES, noise_std).condition(mean, std, mixture)


def dense(mean, std, mixture, noise_std):
    """Mean and covariance over sources, by Gaussian conditioning on one linear observation.

    Shape: (B, K, C, T) -> (B, C, T, K), (B, C, T, K, K).
    """
    a = torch.tensor(SCALES).to(mean)
    mu, prior = mean.movedim(1, -1), torch.diag_embed(std.movedim(1, -1) ** 2)
    gain = prior @ a / ((prior @ a) @ a + noise_std**2)[..., None]
    posterior = mu + gain * (mixture - mu @ a)[..., None]
    return posterior, prior - gain[..., None] * (a @ prior)[..., None, :]


@pytest.mark.parametrize("noise_std", [0.0, 0.3])
def test_mean_and_variance_are_the_dense_ones(noise_std, float64):
    mean, std, mixture, q = draw(noise_std)
    posterior, covariance = dense(mean, std, mixture, noise_std)
    torch.testing.assert_close(q.mean.movedim(1, -1), posterior)
    torch.testing.assert_close(q.variance.movedim(1, -1), covariance.diagonal(dim1=-2, dim2=-1))


@pytest.mark.parametrize("noise_std", [0.0, 0.3])
def test_draws_have_the_dense_moments(noise_std, float64):
    mean, std, mixture, q = draw(noise_std)
    posterior, covariance = dense(mean, std, mixture, noise_std)
    draws = q.rsample((20_000,)).movedim(2, -1)
    centred = draws - posterior
    torch.testing.assert_close(draws.mean(0), posterior, atol=0.04, rtol=0)
    empirical = torch.einsum("sbctk,sbctl->bctkl", centred, centred) / len(draws)
    torch.testing.assert_close(empirical, covariance, atol=0.05, rtol=0)


def test_noisy_log_prob_and_entropy_are_the_dense_ones(float64):
    mean, std, mixture, q = draw(0.3)
    law = MultivariateNormal(*dense(mean, std, mixture, 0.3))
    value = torch.randn(5, B, K, C, T)
    torch.testing.assert_close(q.log_prob(value), law.log_prob(value.movedim(2, -1)).sum((-2, -1)))
    torch.testing.assert_close(q.entropy(), law.entropy().sum((-2, -1)))


def test_exact_log_prob_and_entropy_are_those_of_the_free_sources_up_to_the_chosen_measure(float64):
    """p(s) / p(m) is a density in (s_1..s_K-1, m), whose volume element is |a_K| times that of (s_1..s_K)."""
    mean, std, mixture, q = draw(0.0)
    posterior, covariance = dense(mean, std, mixture, 0.0)
    free = MultivariateNormal(posterior[..., : K - 1], covariance[..., : K - 1, : K - 1])
    value = q.rsample((5,))
    volume = C * T * math.log(abs(SCALES[-1]))
    expected = free.log_prob(value.movedim(2, -1)[..., : K - 1]).sum((-2, -1))
    torch.testing.assert_close(q.log_prob(value), expected + volume)
    torch.testing.assert_close(q.entropy(), free.entropy().sum((-2, -1)) - volume)


def test_exact_log_prob_is_the_limit_of_noisy_ones(float64):
    """As the noise goes, p(s | m) p(m) / p(m | s) tends to p(s); its ratio to p(m) is what is returned."""
    mean, std, mixture, exact = draw(0.0)
    nearly = LinearMixing(SCALES, 1e-5).condition(mean, std, mixture)
    value = exact.rsample((3,))
    peak = Normal(0.0, 1e-5).log_prob(torch.zeros(())) * C * T
    torch.testing.assert_close(nearly.log_prob(value) - peak, exact.log_prob(value), atol=1e-4, rtol=1e-6)


@pytest.mark.parametrize("noise_std", [0.0, 0.3])
def test_entropy_is_minus_the_mean_log_prob(noise_std, float64):
    *_, q = draw(noise_std)
    surprise = -q.log_prob(q.rsample((20_000,)))
    standard_error = surprise.std(0) / len(surprise) ** 0.5
    assert ((surprise.mean(0) - q.entropy()).abs() < 5 * standard_error).all()


@pytest.mark.parametrize("spread", [1e-4, 1.0, 100.0])
def test_the_mixture_is_reconstructed_to_a_millionth(spread):
    torch.manual_seed(0)
    mixing, mixture = LinearMixing((0.25,) * 4), torch.randn(2, 2, 1_000).clamp(-1, 1)
    std = spread * torch.rand(2, 4, 2, 1_000) + 1e-4
    q = mixing.condition(torch.randn(2, 4, 2, 1_000), std, mixture)
    assert (mixing.mix(q.mean) - mixture).abs().max() < 1e-6
    assert (mixing.mix(q.rsample()) - mixture).abs().max() < 1e-6 * max(1, spread)


@pytest.mark.parametrize("noise_std", [0.0, 0.3])
@pytest.mark.parametrize("sigma", [1e-3, 0.1, 2.0])
def test_convolved_log_prob_and_entropy_are_the_dense_ones(noise_std, sigma, float64):
    mean, std, mixture, q = draw(noise_std)
    posterior, covariance = dense(mean, std, mixture, noise_std)
    law = MultivariateNormal(posterior, covariance + sigma**2 * torch.eye(K))
    blurred = ConvolvedNormal(q, sigma)
    value = q.rsample((4,)) + sigma * torch.randn(4, B, K, C, T)
    torch.testing.assert_close(blurred.log_prob(value), law.log_prob(value.movedim(2, -1)).sum((-2, -1)))
    torch.testing.assert_close(blurred.entropy(), law.entropy().sum((-2, -1)))


def test_convolution_takes_one_level_per_item(float64):
    *_, q = draw(0.0)
    sigma = torch.tensor([0.1, 0.7])
    entropy = ConvolvedNormal(q, sigma).entropy()
    for i, one in enumerate(sigma):
        torch.testing.assert_close(entropy[i], ConvolvedNormal(q, one.item()).entropy()[i])


def test_convolved_entropy_survives_float32_at_small_levels():
    """At small sigma the textbook difference d - sum (a v)^2 / (v + sigma^2) cancels to zero."""
    torch.manual_seed(0)
    mixture, std = torch.randn(1, 1, 100), torch.rand(1, 2, 1, 100) + 0.5
    single = LinearMixing((1.0, 1.0)).condition(torch.zeros(1, 2, 1, 100), std, mixture)
    double = LinearMixing((1.0, 1.0)).condition(
        torch.zeros(1, 2, 1, 100).double(), std.double(), mixture.double()
    )
    for sigma in (1e-4, 1e-2):
        exact = ConvolvedNormal(double, sigma).entropy().float()
        torch.testing.assert_close(ConvolvedNormal(single, sigma).entropy(), exact, rtol=1e-4, atol=1e-2)


def test_parameters_get_gradients(float64):
    torch.manual_seed(0)
    mean, raw = torch.randn(B, K, C, T, requires_grad=True), torch.randn(B, K, C, T, requires_grad=True)
    q = LinearMixing(SCALES).condition(mean, raw.exp(), torch.randn(B, C, T))
    (
        q.rsample((2,)).square().mean() + q.entropy().mean() + ConvolvedNormal(q, 0.1).entropy().mean()
    ).backward()
    assert mean.grad.all() and raw.grad.all()


def test_mixing_and_shares():
    sources = torch.arange(6.0).reshape(1, 3, 1, 2)
    mixing = LinearMixing(SCALES)
    assert mixing.mix(sources).tolist() == [[[0 + 2 + 1, 0.5 + 3 + 1.25]]]
    torch.testing.assert_close(mixing.shares(sources).sum(1), mixing.mix(sources))


def test_noisy_mixing_is_a_density_and_exact_mixing_has_none():
    sources, mixture = torch.randn(2, 3, 1, 4), torch.randn(2, 1, 4)
    law = LinearMixing(SCALES, 0.5)(sources)
    expected = Normal(LinearMixing(SCALES).mix(sources), 0.5).log_prob(mixture).sum((1, 2))
    torch.testing.assert_close(law.log_prob(mixture), expected)
    with pytest.raises(ValueError, match="noise_std > 0"):
        LinearMixing(SCALES)(sources)


def test_scales_are_settings_and_leave_no_trace_in_a_state_dict():
    assert LinearMixing(SCALES).state_dict() == {}
    assert isinstance(
        LinearMixing(SCALES).condition(torch.zeros(1, 3, 1, 1), torch.ones(1), torch.ones(1, 1, 1)),
        ConditionedNormal,
    )
