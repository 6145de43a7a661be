"""The one separator, for every backbone and posterior family: levels, lengths, refusals."""

import contracts
import pytest
import torch

from vsep_ray.config import UserError, from_dict, to_dict
from vsep_ray.separators import ConditionedNormalConfig, Separator, SeparatorConfig

CASES = [(b, p) for b in contracts.BACKBONES for p in contracts.POSTERIORS]


def config(backbone, posterior, channels=1):
    return SeparatorConfig(
        sources=("bass", "drums", "other"),
        sample_rate=8_000,
        channels=channels,
        scales=(0.5, 1.0, 0.25),
        backbone=contracts.BACKBONES[backbone],
        posterior=contracts.POSTERIORS[posterior],
    )


@pytest.fixture(scope="module", params=CASES, ids=lambda c: "-".join(c))
def separator(request):
    torch.manual_seed(0)
    return contracts.jiggle(Separator(config(*request.param, channels=2)), 0.05).eval()


@pytest.mark.parametrize("extra", [-1, 0, 1])
@torch.no_grad()
def test_any_length_from_one_sample_on(separator, extra):
    for length in {1, 2, separator.multiple + extra, 5 * separator.multiple + extra} - {0}:
        mixture = torch.randn(2, 2, length)
        q = separator(mixture)
        assert q.mean.shape == q.rsample().shape == (2, 3, 2, length)
        assert torch.isfinite(q.mean).all() and torch.isfinite(q.entropy()).all()


@torch.no_grad()
def test_scaling_the_mixture_scales_the_sources(separator):
    mixture = 0.1 * torch.randn(2, 2, 300)
    q, louder = separator(mixture), separator(8 * mixture)
    torch.testing.assert_close(louder.mean, 8 * q.mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(louder.variance, 64 * q.variance, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_each_item_has_its_own_level(separator):
    mixture = torch.randn(2, 2, 300) * torch.tensor([0.01, 1.0])[:, None, None]
    alone = torch.cat([separator(m[None]).mean for m in mixture])
    torch.testing.assert_close(separator(mixture).mean, alone, rtol=1e-3, atol=1e-4)


def test_silence_gives_finite_values_and_gradients(separator):
    q = separator(torch.zeros(1, 2, 200))
    (q.rsample().square().mean() + q.entropy().mean()).backward()
    assert q.mean.abs().max() < 1e-3, "silence stays silent"
    assert all(torch.isfinite(p.grad).all() for p in separator.parameters() if p.grad is not None)
    separator.zero_grad()


@torch.no_grad()
def test_the_conditioned_family_mixes_to_the_mixture(separator):
    mixture = torch.randn(2, 2, 300).clamp(-1, 1)
    q = separator(mixture)
    conditioned = isinstance(separator.config.posterior, ConditionedNormalConfig)
    assert ((separator.mixing.mix(q.mean) - mixture).abs().max() < 2e-6) == conditioned


def test_the_config_rebuilds_it(separator):
    again = Separator(from_dict(SeparatorConfig, to_dict(separator.config)))
    assert again.config == separator.config and again.multiple == separator.multiple
    assert again.state_dict().keys() == separator.state_dict().keys()
    named = (again.sources, again.sample_rate, again.channels)
    assert named == (("bass", "drums", "other"), 8_000, 2)


def test_every_source_needs_its_scale():
    with pytest.raises(UserError, match="one scale per source"):
        Separator(SeparatorConfig(sources=("a", "b"), channels=1, scales=(1.0,)))


@pytest.mark.parametrize("shape", [(2, 1, 10), (2, 10), (2, 2, 0), (1, 2, 2, 10)])
def test_other_shapes_are_refused(separator, shape):
    with pytest.raises(ValueError, match=r"must have shape \(B, 2, T >= 1\)"):
        separator(torch.zeros(shape))
