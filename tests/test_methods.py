"""Every way of inference behind one interface, with seeds and shifts around it."""

import pytest
import torch
from gaussian import ExactSeparator, white

from vsep_ray.config import members
from vsep_ray.joint import Joint
from vsep_ray.methods import LangevinConfig, MethodConfig, over_shifts, seeded
from vsep_ray.mixing import LinearMixing

STDS = {"a": 1.0, "b": 2.0}
MIXING = LinearMixing((1.0, 1.0), 0.0)


def bound(method, **options):
    separator = ExactSeparator(dict.fromkeys(STDS, 1.0), MIXING)
    joint = Joint({k: white(v, 8) for k, v in STDS.items()}, MIXING)
    return method(**options).bind(separator, joint if method.asks_priors else None)


@pytest.mark.parametrize("method", members(MethodConfig))
def test_every_method_divides_the_mixture_at_any_length(method):
    mixture = torch.randn(3, 1, 7)
    sources = bound(method)(mixture)
    assert sources.shape == (3, 2, 1, 7) and not sources.requires_grad
    torch.testing.assert_close(sources.sum(1), mixture)


@pytest.mark.parametrize("method", members(MethodConfig))
def test_a_seeded_method_gives_a_chunk_the_same_in_any_batch(method):
    separate, mixture = seeded(bound(method)), torch.randn(3, 1, 8)
    alone = torch.cat([separate(m[None]) for m in mixture])
    torch.testing.assert_close(separate(mixture), alone)
    torch.manual_seed(9)
    torch.testing.assert_close(separate(mixture), alone, rtol=0, atol=0)


def test_chunks_of_equal_length_draw_their_own_noise():
    separate = seeded(bound(LangevinConfig, samples=1))
    first, second = separate(torch.stack([torch.zeros(1, 8), torch.full((1, 8), 1e-9)]))
    assert (first - second).abs().max() > 1e-3


def framewise(mixture):
    """A method that treats the places of a frame of 4 samples differently."""
    gains = torch.tensor([0.0, 1.0, 2.0, 3.0]).repeat(mixture.shape[-1] // 4)
    return torch.stack([gains * mixture, (1 - gains) * mixture], 1)


@pytest.mark.parametrize(("shifts", "gains"), [(1, [0, 1, 2, 3]), (2, [1, 2, 1, 2]), (4, [1.5] * 4)])
def test_shifts_take_the_mean_over_places_in_a_frame(shifts, gains):
    mixture = torch.randn(2, 1, 12)
    first, second = over_shifts(framewise, shifts, 4)(mixture).unbind(1)
    torch.testing.assert_close(first, torch.tensor(gains, dtype=torch.float32).repeat(3) * mixture)
    torch.testing.assert_close(first + second, mixture)


def test_shifts_change_nothing_where_time_does_not_matter():
    mixture = torch.randn(2, 1, 10)
    separate = lambda m: torch.stack([m.tanh(), m - m.tanh()], 1)  # noqa: E731
    torch.testing.assert_close(over_shifts(separate, 3, 8)(mixture), separate(mixture))
