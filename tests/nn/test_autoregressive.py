"""Densities that integrate to 1, draws that follow them, and no look ahead."""

import contracts
import pytest
import torch

from vsep_ray.nn.autoregressive import Autoregressive, LogisticMixture, MuLaw

LAWS = {"logistics": lambda: LogisticMixture(3, 4, 0.35), "mulaw": lambda: MuLaw(16)}
NOISE = 0.1


def law_at(name, spread=0.7):
    """A law with arbitrary parameters and its lags."""
    torch.manual_seed(2)
    law = LAWS[name]()
    return law, spread * torch.randn(law.size), 0.3 * torch.randn(law.taps)


def density(law, raw, lags, x):
    return law.log_prob(
        raw.expand(len(x), -1), lags.expand(len(x), -1), x, torch.tensor(NOISE).expand(len(x))
    )


@pytest.mark.parametrize("name", LAWS)
def test_densities_integrate_to_one(name, float64):
    x = torch.linspace(-8, 8, 400_001)
    total = torch.trapezoid(density(*law_at(name), x).exp(), x)
    assert total.item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("name", LAWS)
def test_draws_follow_the_density(name, float64):
    law, raw, lags = law_at(name)
    num = 20_000
    u = torch.rand(num, 2)
    x = law.draw(raw.expand(num, -1), lags.expand(num, -1), u, torch.tensor(NOISE).expand(num), 1.0)
    grid = torch.linspace(-8, 8, 400_001)
    below = torch.cumulative_trapezoid(density(law, raw, lags, grid).exp(), grid)
    place = below[torch.searchsorted(grid, x).clamp(1, len(below)) - 1].sort().values
    distance = (place - (torch.arange(num) + 0.5) / num).abs().max()  # Kolmogorov and Smirnov
    assert distance < 1.9 / num**0.5


@pytest.mark.parametrize("name", LAWS)
def test_a_low_temperature_sharpens(name, float64):
    law, raw, lags = law_at(name, 2.0)
    u = torch.rand(2_000, 2)
    many = (raw.expand(2_000, -1), lags.expand(2_000, -1), u, torch.tensor(NOISE).expand(2_000))
    assert law.draw(*many, 0.1).std() < 0.7 * law.draw(*many, 1.0).std()


@pytest.mark.parametrize("name", LAWS)
def test_the_gradient_in_the_sample_is_that_of_the_density(name, float64):
    law, raw, lags = law_at(name)
    x = torch.tensor([-1.7, -0.31, 0.013, 0.4, 2.0], requires_grad=True)
    (gradient,) = torch.autograd.grad(density(law, raw, lags, x).sum(), x)
    step = 1e-6
    slope = (density(law, raw, lags, x + step) - density(law, raw, lags, x - step)) / (2 * step)
    assert (gradient != 0).all()
    torch.testing.assert_close(gradient, slope.detach(), rtol=1e-5, atol=1e-6)


def model(name, channels=2):
    torch.manual_seed(0)
    made = Autoregressive(channels, LAWS[name](), width=6, layers=4, cycle=2, context=3)
    return contracts.jiggle(made, 0.3)


@pytest.mark.parametrize("name", LAWS)
def test_no_law_sees_its_own_sample_or_a_later_one(name, float64):
    density, context, noise = model(name), torch.randn(1, 3), torch.tensor([NOISE])

    def laws(x):
        raw, lags = density.laws(x, context, noise)
        return torch.cat([raw, lags], -1)[0].transpose(0, 1)

    seen = torch.autograd.functional.jacobian(laws, 0.3 * torch.randn(1, 2, 12)).abs().sum((1, 2, 3, 4)) > 0
    assert torch.equal(seen, torch.ones(12, 12).tril(-1).bool() & ~torch.ones(12, 12).tril(-8).bool())


def test_a_short_signal_has_a_normalised_joint_density(float64):
    density, noise = model("logistics", channels=1), torch.full((1,), NOISE)
    axis = torch.linspace(-6, 6, 401)
    grid = torch.cartesian_prod(axis, axis)[:, None]
    with torch.no_grad():
        log_prob = density.log_prob(grid, torch.zeros(1, 3).expand(len(grid), -1), noise.expand(len(grid)))
    assert log_prob.exp().sum().item() * (axis[1] - axis[0]).item() ** 2 == pytest.approx(1, abs=5e-3)
