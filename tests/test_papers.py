"""Closed forms that the mission must meet, and experiments that could prove it wrong.

Everything is Gaussian here, so that evidence, posterior and separation are known; only the code is on trial.
"""

import functools

import pytest
import torch
from gaussian import ExactSeparator, GaussianPrior, white
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from vsep_ray.evaluation.sdr import si_sdr
from vsep_ray.inference import amortized
from vsep_ray.joint import Joint
from vsep_ray.mixing import LinearMixing
from vsep_ray.objectives import Sleep, Wake
from vsep_ray.schedules import Schedule
from vsep_ray.separators import Separator, SeparatorConfig, SpectrogramUNetConfig
from vsep_ray.training import FitConfig, FitState, fit

LENGTH = 6
STDS = {"a": 0.2, "b": 0.7, "c": 0.4}
SCALES = (0.5, 1.0, 0.25)
POINT = Schedule(1e-6, 1e-6)
"""A noise level at which a smoothed prior is the prior."""


def gaussian_joint(noise_std):
    return Joint({k: white(v, LENGTH) for k, v in STDS.items()}, LinearMixing(SCALES, noise_std))


def log_joint(joint, sources, mixture):
    """log p(m, s) at a noise level that leaves the priors as they are."""
    log_prior = joint.log_prior_surrogate(sources, torch.full((len(mixture),), 1e-6)).sum(1)
    return log_prior + joint.log_likelihood(sources, mixture)


def log_evidence(mixture, noise_std):
    variance = sum((a * v) ** 2 for a, v in zip(SCALES, STDS.values(), strict=True)) + noise_std**2
    return Normal(0.0, variance**0.5).log_prob(mixture).sum((1, 2))


def test_every_draw_from_the_exact_posterior_has_the_log_evidence_as_its_elbo(float64):
    joint, mixture = gaussian_joint(0.3), torch.randn(4, 1, LENGTH)
    q = ExactSeparator(STDS, joint.mixing)(mixture)
    draw = q.rsample()
    elbo = log_joint(joint, draw, mixture) - q.log_prob(draw)
    torch.testing.assert_close(elbo, log_evidence(mixture, 0.3))


def test_under_exact_mixing_too(float64):
    joint, mixture = gaussian_joint(0.0), torch.randn(4, 1, LENGTH)
    q = ExactSeparator(STDS, joint.mixing)(mixture)
    draw = q.rsample()
    elbo = log_joint(joint, draw, mixture) - q.log_prob(draw)
    torch.testing.assert_close(elbo, log_evidence(mixture, 0.0))


@pytest.mark.parametrize("noise_std", [0.0, 0.3])
def test_wake_measures_the_log_evidence_with_the_exact_posterior_and_less_with_any_other(noise_std, float64):
    """At sigma = 0 the bound is tight; H(q) and E_q log p are estimated apart, hence the tolerance."""
    torch.manual_seed(0)
    joint, mixture = gaussian_joint(noise_std), torch.randn(8, 1, LENGTH)
    level = POINT if noise_std else Schedule(1e-3, 1e-3)
    exact = Wake(ExactSeparator(STDS, joint.mixing), joint, level, samples=4_000)
    wrong = Wake(ExactSeparator(STDS | {"a": 0.4}, joint.mixing), joint, level, samples=4_000)
    bound = log_evidence(mixture, noise_std).mean()
    if noise_std == 0:  # the blurred posterior has one dimension more: N(0, sigma^2 / |a|^2) across the plane
        bound = -kl_to_prior(joint, mixture, 1e-3)
    torch.testing.assert_close(exact({"mixture": mixture}, 0)["elbo"], bound, atol=0.05, rtol=0)
    assert wrong({"mixture": mixture}, 0)["elbo"] < bound - 0.3


def kl_to_prior(joint, mixture, sigma):
    """KL(q * N(0, sigma^2) || p_sigma) by dense covariances, nats, averaged over the batch."""
    a, variances = torch.tensor(SCALES), torch.tensor(list(STDS.values())) ** 2
    prior = torch.diag(variances)
    gain = prior @ a / (a @ prior @ a + joint.mixing.noise_std**2)
    covariance = prior - torch.outer(gain, a @ prior)
    eye = sigma**2 * torch.eye(len(a))
    blurred = MultivariateNormal(mixture.squeeze(1)[..., None] * gain, covariance + eye)
    return kl_divergence(blurred, MultivariateNormal(torch.zeros(len(a)), prior + eye)).sum(-1).mean()


@pytest.mark.parametrize("noise_std", [0.0, 0.3])
@pytest.mark.parametrize("sigma", [0.01, 0.3, 2.0])
def test_wake_at_a_noise_level_is_the_kl_between_blurred_laws(noise_std, sigma, float64):
    torch.manual_seed(0)
    joint, mixture = gaussian_joint(noise_std), torch.randn(8, 1, LENGTH)
    q = ExactSeparator(STDS, joint.mixing)
    elbo = Wake(q, joint, Schedule(sigma, sigma), samples=4_000)({"mixture": mixture}, 0)["elbo"]
    likelihood = torch.zeros(())
    if noise_std:
        residual = mixture - joint.mixing.mix(q(mixture).rsample((4_000,)))
        likelihood = Normal(0.0, noise_std).log_prob(residual).sum((-2, -1)).mean()
    torch.testing.assert_close(elbo, likelihood - kl_to_prior(joint, mixture, sigma), atol=0.05, rtol=0)


class Factorised(nn.Module):
    """prod_k N(mean_k, std_k^2) with free parameters: the founding proposal's posterior of one mixture."""

    def __init__(self, joint, mean, std):
        super().__init__()
        self.sources, self.mixing = joint.sources, joint.mixing
        self.mean, self.log_std = nn.Parameter(mean), nn.Parameter(std.log())

    def forward(self, mixture):
        return Independent(Normal(self.mean, self.log_std.exp()), 3)


def test_the_best_factorised_posterior_is_far_too_narrow_which_is_why_it_is_only_the_control(float64):
    """Its optimum has the diagonal of the posterior's precision: 1 / v_k + a_k^2 / noise_std^2."""
    torch.manual_seed(0)
    mixing, prior_std = LinearMixing((1.0,) * 4, 0.05), 0.5
    joint = Joint({k: white(prior_std, LENGTH) for k in "abcd"}, mixing)
    mixture = torch.randn(1, 1, LENGTH)
    exact = ExactSeparator(dict.fromkeys("abcd", prior_std), mixing)(mixture)
    narrow = torch.full_like(exact.mean, (1 / prior_std**2 + 1 / 0.05**2) ** -0.5)
    slopes = []
    for std in (narrow, exact.variance.sqrt()):
        q = Factorised(joint, exact.mean, std)
        Wake(q, joint, POINT, samples=4_000)({"mixture": mixture}, 0)["loss"].backward()
        slopes.append(torch.cat([q.mean.grad, q.log_std.grad]).abs().max())
    assert slopes[0] < 0.1 < 1 < slopes[1], "stationary at the narrow one only"
    assert (exact.variance.sqrt() / narrow).min() > 7


# Learning from priors alone ---------------------------------------------------------------------------------

BAND = 128
"""Samples per clip below; one source fills the lower half of the band, the other the upper."""
BACKBONE = SpectrogramUNetConfig(n_fft=32, hop=8, width=16, blocks=1)


def band_priors():
    low = torch.where(torch.arange(BAND) < BAND // 2, 0.3, 0.003) ** 2
    return {"low": GaussianPrior(low), "high": GaussianPrior(low.flip(0))}


def test_set():
    """Sources and the mixture that is separated. Shape: (B, K, C, T), (B, C, T)."""
    torch.manual_seed(1)
    return drawn(Joint(band_priors(), LinearMixing((1.0, 1.0))), 64)


def drawn(joint, num):
    """Sources from the priors, and their exact mixture."""
    sources = torch.stack([prior.sample(num, BAND) for prior in joint.priors], 1)
    return sources, joint.mixing.mix(sources)


@functools.cache
def learned(kind, steps=60):
    """Estimates of the test mixtures after a brief training that sees no mixture with its sources."""
    torch.manual_seed(0)
    separator = Separator(SeparatorConfig(("low", "high"), 8_000, 1, (1.0, 1.0), backbone=BACKBONE))
    joint = Joint(band_priors(), separator.mixing)
    believed = {
        "wake": band_priors(),
        "shuffled": dict(zip(("low", "high"), reversed(band_priors().values()), strict=True)),
        "common": {k: white(1.0, BAND) for k in ("low", "high")},
        "sleep": band_priors(),
    }[kind]
    objective = Sleep(separator)
    if kind != "sleep":
        objective = Wake(separator, Joint(believed, separator.mixing), Schedule(0.1, 0.1))
    config = FitConfig(steps=steps, learning_rate=2e-2, warmup=5, ema=0.0)

    def batches():
        while True:
            sources, mixture = drawn(joint, 16)
            yield {"remix": sources} if kind == "sleep" else {"mixture": mixture}

    fit(objective, batches(), config, state=FitState.create(separator, config))
    return amortized(test_set()[1], separator=separator)


test_set.__test__ = False


def improvement(estimates, sources):
    """Mean SI-SDR improvement over the mixture as the estimate, dB."""
    mixture = sources.sum(1, keepdim=True).expand_as(sources)
    return (si_sdr(estimates, sources) - si_sdr(mixture, sources)).mean().item()


@pytest.mark.parametrize("kind", ["wake", "sleep"])
def test_priors_alone_teach_to_separate(kind):
    sources, _ = test_set()
    assert improvement(learned(kind), sources) > 10


def test_with_one_common_prior_separation_falls_to_the_mean_split():
    sources, mixture = test_set()
    estimates = learned("common")
    assert abs(improvement(estimates, sources)) < 1
    split = (mixture / 2).unsqueeze(1).expand_as(sources)
    assert (estimates - split).square().mean() < 0.2 * split.square().mean()


def test_with_shuffled_labels_the_outputs_change_places():
    sources, _ = test_set()
    assert improvement(learned("shuffled"), sources.flip(1)) > 10
    assert improvement(learned("shuffled"), sources) < 0
