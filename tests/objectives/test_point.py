import math

import pytest
import torch

from vsep_ray.config import UserError
from vsep_ray.objectives import AbsoluteErrorConfig, LogErrorConfig, PointConfig, Sleep
from vsep_ray.separators import FactorisedNormalConfig, Separator, SeparatorConfig, SpectrogramUNetConfig

SMALL = SpectrogramUNetConfig(n_fft=64, hop=32, width=8, blocks=1)


def constant(*values):
    """Sources of constant samples. Shape: -> (1, K, 1, 50)."""
    return torch.tensor(values).reshape(1, -1, 1, 1).expand(1, -1, 1, 50)


def test_the_logarithm_of_the_error_stops_where_it_is_small_enough(float64):
    sources, mixture = constant(1.0, 0.0), torch.full((1, 1, 50), 2.0)
    estimates = constant(1.0, 0.0)
    loss = LogErrorConfig(active_db=30, silent_db=10).loss(estimates, sources, mixture)
    # the first may err by 30 dB below itself, the second by 10 dB below the mixture
    expected = 0.25 * (math.log(1e-3 * 1 / 4) + math.log(1e-1))
    assert loss.item() == pytest.approx(expected)


def test_a_large_error_counts_as_it_is(float64):
    sources, mixture = constant(1.0), torch.full((1, 1, 50), 1.0)
    loss = LogErrorConfig(active_db=60).loss(constant(4.0), sources, mixture)
    assert loss.item() == pytest.approx(math.log(3), abs=1e-6)


def test_silence_pays_less_the_smaller_its_threshold(float64):
    sources, mixture = constant(0.0), torch.full((1, 1, 50), 1.0)

    def gain(silent_db):
        point = LogErrorConfig(silent_db=silent_db)
        return (
            point.loss(constant(0.1), sources, mixture) - point.loss(constant(0.0), sources, mixture)
        ).item()

    assert 0 < gain(10) < gain(30) < gain(50)


def test_the_absolute_error_is_relative_to_the_mixture(float64):
    sources, mixture = constant(1.0, -1.0), torch.full((1, 1, 50), 2.0)
    loss = AbsoluteErrorConfig().loss(constant(1.5, -1.0), sources, mixture)
    assert loss.item() == pytest.approx(0.5 / 2 / 2, rel=1e-5)


def separator(**changes):
    torch.manual_seed(0)
    return Separator(SeparatorConfig(("a", "b"), 8_000, 1, (1.0, 1.0), backbone=SMALL, **changes))


@pytest.mark.parametrize("family", [{}, {"posterior": FactorisedNormalConfig()}])
def test_a_likelihood_of_the_spread_alone_teaches_no_masks(family):
    module, remix = separator(**family), torch.randn(2, 2, 1, 256)

    def taught(spread_only):
        module.zero_grad()
        Sleep(module, LogErrorConfig(weight=0, spread_only=spread_only))({"remix": remix}, 0)[
            "loss"
        ].backward()
        gradient = module.backbone.masks.weight.grad
        return gradient is not None and bool(gradient.any())

    assert taught(spread_only=False)
    assert not taught(spread_only=True)
    assert module.backbone.log_std.weight.grad.any()


@pytest.mark.parametrize("kind", [LogErrorConfig, AbsoluteErrorConfig])
def test_weights_that_teach_nothing_are_refused(kind):
    assert issubclass(kind, PointConfig)
    for wrong in ({"weight": -1.0}, {"weight": 0.0, "likelihood": 0.0}):
        with pytest.raises(UserError, match=r"--point\.weight"):
            kind(**wrong)
