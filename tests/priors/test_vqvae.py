"""The VQ-VAE: a bound on a sum over all codes, which is small enough here to be added up."""

import contracts
import pytest
import torch

from vsep_ray.priors import VQVAEConfig

TINY = VQVAEConfig(
    hop=8, codes=6, dim=3, encoder_width=8, blocks=1, prior_layers=2, width=6, layers=3, components=2, taps=3,
    embedding=4,
)  # fmt: skip


def prior(encoder="waveform", channels=1):
    return contracts.build_prior(VQVAEConfig(**{**vars(TINY), "encoder": encoder}), channels)


@pytest.mark.parametrize("encoder", ["waveform", "mfcc"])
def test_the_bound_lies_below_the_sum_over_all_codes_by_no_more_than_it_may(encoder, float64):
    model = prior(encoder).double()
    x, level = 0.3 * torch.randn(5, 1, 16), torch.full((5,), 0.1)
    every = torch.cartesian_prod(torch.arange(6), torch.arange(6))
    joint = torch.stack(
        [
            model._log_given(x, model.codebook.lookup(pair.expand(5, 2)), level)
            + model._log_codes(pair.expand(5, 2), level)
            for pair in every
        ]
    )
    bound = model.log_prob(x, level)
    assert (bound <= torch.logsumexp(joint, 0)).all()
    assert (bound >= joint.min(0).values).all()


def test_the_code_prior_adds_up_to_one(float64):
    model = prior().double()
    every = torch.cartesian_prod(torch.arange(6), torch.arange(6))
    log_codes = model._log_codes(every, torch.full((36,), 0.1))
    torch.testing.assert_close(log_codes.exp().sum(), torch.tensor(1.0))


def test_codes_are_drawn_from_their_prior(float64):
    torch.manual_seed(0)
    model = contracts.jiggle(prior().double(), 0.3)
    noise = torch.full((4_000,), model.config.noise_min)
    with torch.no_grad():
        drawn = model._sample_codes(2, noise)
        every = torch.cartesian_prod(torch.arange(6), torch.arange(6))
        expected = model._log_codes(every, noise[:36]).exp()
    counts = torch.bincount(drawn[:, 0] * 6 + drawn[:, 1], minlength=36) / 4_000
    assert ((counts - expected) / (expected * (1 - expected) / 4_000).sqrt()).abs().max() < 5


@pytest.mark.parametrize("channels", [1, 2])
def test_the_cepstral_encoder_meets_the_contract_too(channels):
    model = prior("mfcc", channels)
    for check in contracts.PRIOR_CHECKS:
        torch.manual_seed(0)
        check(model)


def test_training_moves_the_codebook_and_evaluation_does_not():
    model, clips = prior(), contracts.toy_clips("sawtooth")[:8]
    before = model.codebook.vectors.clone()
    model.eval().loss(clips)
    assert torch.equal(model.codebook.vectors, before)
    terms = model.train().loss(clips)
    assert not torch.equal(model.codebook.vectors, before)
    assert 1 <= terms["perplexity"] <= 6
