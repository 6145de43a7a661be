"""The autoregressive prior: generation through the cache is generation by the definition."""

import contracts
import pytest
import torch

from vsep_ray.nn.autoregressive import uniforms
from vsep_ray.priors import WaveNetConfig

TINY = WaveNetConfig(width=8, layers=4, cycle=2, components=2, taps=4, embedding=4, warm=8)


def prior(output="logistics", channels=1):
    config = WaveNetConfig(**{**vars(TINY), "output": output})
    torch.manual_seed(0)
    return contracts.jiggle(config.build(8_000, channels), 0.2).eval()


@torch.no_grad()
def naive_generation(prior, num, length, temperature):
    """`WaveNetPrior.sample` by its definition: the whole prefix once more for every sample."""
    config, density = prior.config, prior.density
    noise_std = torch.full((num,), config.noise_min).to(next(prior.parameters()))
    u = uniforms(num, prior.channels, length, noise_std)
    x = u.new_zeros(num, prior.channels, 0)
    for t in range(length):
        raw, lags = density.laws(torch.nn.functional.pad(x, (0, 1)), prior.embedding(noise_std), noise_std)
        heat = 1.0 if t < config.warm else temperature
        new = density.law.draw(raw[:, :, t], lags[:, :, t], u[:, :, t], noise_std[:, None], heat)
        x = torch.cat([x, new[..., None]], -1)
    return x


@pytest.mark.parametrize("temperature", [1.0, 0.3])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("output", ["logistics", "mulaw"])
def test_the_cache_draws_the_same_samples_as_the_naive_loop(output, channels, temperature, float64):
    model = prior(output, channels).double()
    torch.manual_seed(3)
    fast = model.sample(2, 60, temperature)
    torch.manual_seed(3)
    torch.testing.assert_close(fast, naive_generation(model, 2, 60, temperature))


@pytest.mark.parametrize("output", ["logistics", "mulaw"])
def test_log_prob_is_a_sum_over_samples_that_never_looks_ahead(output, float64):
    """log p(x_1..x_t) of the first t samples does not change with those that follow."""
    model, x = prior(output).double(), 0.3 * torch.randn(1, 1, 24)
    level = torch.tensor([0.1])
    parts = torch.stack([model.log_prob(x[..., :t], level) for t in range(1, 25)])
    other = x.clone()
    other[..., 12:] = 0.5
    assert torch.equal(model.log_prob(other[..., :12], level), parts[11])
    full = x.clone().requires_grad_()
    (early,) = torch.autograd.grad(model.log_prob(full[..., :12], level).sum(), full)
    assert (early[..., 12:] == 0).all() and (early[..., :12] != 0).all()


def test_mulaw_codes_meet_the_contract_too():
    model = contracts.build_prior(WaveNetConfig(**{**vars(TINY), "output": "mulaw"}))
    for check in contracts.PRIOR_CHECKS:
        torch.manual_seed(0)
        check(model)


def test_what_lies_beyond_full_scale_has_a_density_in_both_laws():
    for output in ("logistics", "mulaw"):
        loud = 3 * torch.ones(1, 1, 16)
        assert torch.isfinite(prior(output).log_prob(loud, torch.tensor([0.01]))).all()
