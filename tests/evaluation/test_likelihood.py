import math

import pytest
import torch
from torch.distributions import Normal

from vsep_ray.config import UserError
from vsep_ray.evaluation.likelihood import PROBES, cross_likelihood, gate


class Gaussian:
    """p = N(0, std^2 I): its smoothed density is N(0, std^2 + sigma^2)."""

    def __init__(self, std, multiple=1):
        self.std, self.multiple = std, multiple

    def log_prob(self, x, noise_std):
        scale = (self.std**2 + noise_std**2).sqrt()[:, None, None]
        return Normal(0.0, scale).log_prob(x).sum((-2, -1))


def clips(stds, n=40, length=256, seed=7):
    generator = torch.Generator().manual_seed(seed)
    return {name: std * torch.randn(n, 1, length, generator=generator) for name, std in stds.items()}


STDS = {"quiet": 0.1, "loud": 1.0}
PRIORS = {name: Gaussian(std) for name, std in STDS.items()}


def test_matrix_matches_the_closed_form():
    result = cross_likelihood(PRIORS, clips(STDS, n=200), [0.01, 0.5])
    assert result.clips == ("quiet", "loud", *PROBES)
    assert result.matrix.shape == (2, 5, 2)
    for i, sigma in enumerate(result.noise_stds):
        for row, own in enumerate(STDS.values()):
            for column, std in enumerate(STDS.values()):
                own_var, var = own**2 + sigma**2, std**2 + sigma**2
                expected = -0.5 * math.log(2 * math.pi * var) - own_var / (2 * var)
                assert float(result.matrix[i, row, column]) == pytest.approx(expected, rel=0.02)
    torch.testing.assert_close(result.bits_per_sample() * math.log(2), -result.matrix)


def test_distinct_priors_are_told_apart_and_pass_the_gate():
    result = cross_likelihood(PRIORS, clips(STDS), [0.01, 0.5])
    assert result.accuracy == {"quiet": (1.0, 1.0), "loud": (1.0, 1.0)}
    assert result.auc == {"quiet": (1.0, 1.0), "loud": (1.0, 1.0)}
    assert gate(result) == []
    assert result.metrics()["accuracy/sigma_0.5/loud"] == 1.0
    assert "cross/sigma_0.01/silence_clips/quiet_prior" in result.metrics()


def test_equal_and_swapped_priors_fail_the_gate():
    equal = cross_likelihood({name: Gaussian(0.5) for name in STDS}, clips(STDS), [0.1])
    assert equal.auc["quiet"] == (0.5,)
    assert gate(equal) == ["loud"]  # argmax of a tie is the first
    swapped = cross_likelihood(dict(zip(STDS, reversed(PRIORS.values()), strict=True)), clips(STDS), [0.1])
    assert gate(swapped) == ["quiet", "loud"]
    assert swapped.accuracy["quiet"] == (0.0,)


def test_discrimination_fades_with_noise_and_the_gate_judges_at_the_best_level():
    given = {"a": Gaussian(0.1), "b": Gaussian(0.15)}, clips({"a": 0.1, "b": 0.15}, length=64)
    result = cross_likelihood(*given, [0.01, 3.0])
    assert sum(v[0] for v in result.accuracy.values()) > sum(v[1] for v in result.accuracy.values())
    assert result.best_level() == 0
    assert gate(result, 0.7) == [] and gate(cross_likelihood(*given, [3.0]), 0.7) != []


def test_same_seed_same_numbers_whatever_the_batch():
    one = cross_likelihood(PRIORS, clips(STDS), [0.1], batch_size=7)
    other = cross_likelihood(PRIORS, clips(STDS), [0.1], batch_size=64)
    torch.testing.assert_close(one.matrix, other.matrix)
    assert not torch.equal(one.matrix, cross_likelihood(PRIORS, clips(STDS), [0.1], seed=1).matrix)


def test_clips_are_cut_to_what_suits_every_prior_and_a_lone_prior_has_no_auc():
    result = cross_likelihood(
        {"a": Gaussian(1.0, 48), "b": Gaussian(0.1, 32)}, clips({"a": 1.0, "b": 0.1}, length=100), [0.1]
    )
    assert gate(result) == []
    alone = cross_likelihood({"a": Gaussian(1.0)}, clips({"a": 1.0}), [0.1])
    assert alone.accuracy == {"a": (1.0,)} and math.isnan(alone.auc["a"][0])


def test_missing_or_short_clips_are_the_users_mistake():
    with pytest.raises(UserError, match="none of loud"):
        cross_likelihood(PRIORS, {"quiet": torch.zeros(2, 1, 8), "loud": torch.zeros(0, 1, 8)}, [0.1])
    with pytest.raises(UserError, match="at least 32 samples"):
        cross_likelihood({"a": Gaussian(1.0, 32)}, {"a": torch.zeros(2, 1, 8)}, [0.1])


def test_the_true_density_lies_above_the_entropy_of_the_noise_and_a_boaster_is_found():
    class Boaster(Gaussian):
        def log_prob(self, x, noise_std):
            return super().log_prob(x, noise_std) + 3.0 * x[0].numel()

    waves = clips(STDS)
    honest = cross_likelihood(PRIORS, waves, [0.01, 0.5])
    for source, std in STDS.items():
        for sigma, above in zip(honest.noise_stds, honest.above_noise()[source], strict=True):
            expected = 0.5 * math.log((std**2 + sigma**2) / sigma**2)
            assert above == pytest.approx(expected, abs=0.05)
    assert honest.impossible() == [] and (honest.errors > 0).all()
    lying = cross_likelihood({"quiet": Boaster(0.1), "loud": PRIORS["loud"]}, waves, [0.01, 0.5])
    assert lying.impossible() == ["quiet"]
