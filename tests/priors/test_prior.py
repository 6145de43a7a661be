"""The contract of priors over the union of their configs, and what all priors share."""

import math

import contracts
import pytest
import torch

from vsep_ray.priors.prior import NoiseEmbedding, draw_noise_levels, per_item_noise

CHANNELS = {"mono": 1, "stereo": 2}


@pytest.fixture(scope="module")
def built():
    """Every prior once: building is the slow part."""
    return {
        (k, c): contracts.build_prior(v, c) for k, v in contracts.PRIORS.items() for c in CHANNELS.values()
    }


@pytest.mark.parametrize("check", contracts.PRIOR_CHECKS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("channels", CHANNELS.values(), ids=CHANNELS)
@pytest.mark.parametrize("name", contracts.PRIORS)
def test_contract(name, channels, check, built):
    torch.manual_seed(0)
    check(built[name, channels])


@pytest.mark.parametrize("name", contracts.PRIORS)
def test_a_low_temperature_sharpens_the_samples(name, built):
    contracts.a_low_temperature_sharpens_the_samples(built[name, 1])


@pytest.mark.parametrize("name", contracts.PRIORS)
def test_samples_carry_the_noise_of_their_level(name, built):
    contracts.samples_carry_the_noise_of_their_level(built[name, 1])


@pytest.mark.parametrize("name", contracts.PRIORS)
def test_a_checkpoint_brings_the_same_densities_back(name, built, tmp_path):
    contracts.a_checkpoint_brings_the_same_densities_back(built[name, 1], tmp_path)


@pytest.mark.parametrize("name", contracts.PRIORS)
def test_a_few_dozen_steps_lower_the_loss(name):
    contracts.a_few_dozen_steps_lower_the_loss(contracts.build_prior(contracts.PRIORS[name]))


def test_noise_levels_are_log_uniform():
    levels = draw_noise_levels(20_000, (0.01, 1.0), torch.zeros(1))
    assert levels.min() >= 0.01 and levels.max() <= 1.0
    quartiles = torch.quantile(levels.log10(), torch.tensor([0.25, 0.5, 0.75]))
    torch.testing.assert_close(quartiles, torch.tensor([-1.5, -1.0, -0.5]), atol=0.03, rtol=0)


def test_noise_has_each_items_own_level():
    noisy = per_item_noise(torch.ones(2, 1, 50_000), torch.tensor([0.1, 2.0]))
    torch.testing.assert_close(noisy.std((1, 2)), torch.tensor([0.1, 2.0]), rtol=0.03, atol=0)
    torch.testing.assert_close(noisy[0].mean(), torch.tensor(1.0), rtol=0.01, atol=0)


def test_the_noise_embedding_tells_levels_apart_over_four_decades():
    embedded = NoiseEmbedding(8)(torch.tensor([10.0**-i for i in range(5)]))
    assert embedded.shape == (5, 8) and embedded.abs().max() < 10
    assert torch.pdist(embedded).min() > 1e-3 / math.sqrt(8)
