import pytest
import torch
from gaussian import ExactSeparator
from torch.distributions import Independent, Normal

from vsep_ray.mixing import LinearMixing
from vsep_ray.objectives.alarms import alarms, energy_shares, posterior_metrics, relative_std


def test_energy_shares_add_up_to_one_and_ignore_level():
    shares = torch.ones(2, 2, 1, 100) * torch.tensor([3.0, 1.0])[:, None, None]
    shares[1] *= 100
    torch.testing.assert_close(energy_shares(shares), torch.tensor([0.9, 0.1]))
    torch.testing.assert_close(energy_shares(torch.zeros(2, 4, 1, 10)), torch.full((4,), 0.25))


def test_the_relative_spread_is_that_of_the_shares_over_the_level_of_the_mixture():
    std = torch.tensor([0.1, 0.4])[:, None, None].expand(3, 2, 1, 50)
    q = Independent(Normal(torch.zeros_like(std), std), 3)
    mixture = 2 * torch.randn(3, 1, 50).sign()
    found = relative_std(q, mixture, LinearMixing((0.5, 1.0)))
    assert found.item() == pytest.approx((0.05 * 0.4) ** 0.5 / 2)


def test_what_is_logged_of_a_posterior_has_no_graph():
    q = ExactSeparator({"bass": 0.3, "drums": 0.6}, LinearMixing((1.0, 1.0)))
    q.stds.requires_grad_()
    mixture = torch.randn(4, 1, 8)
    metrics = posterior_metrics(q(mixture), mixture, q, 0)
    assert list(metrics) == ["entropy", "relative_std", "energy_share/bass", "energy_share/drums"]
    assert not any(v.requires_grad for v in metrics.values())


def test_the_entropy_is_that_of_one_sample():
    class Bare(ExactSeparator):
        def forward(self, mixture):
            return Independent(Normal(torch.zeros(3, 2, 1, 5), 1.0), 3)

    q, mixture = Bare({"bass": 1.0, "drums": 1.0}, LinearMixing((1.0, 1.0))), torch.randn(3, 1, 5)
    entropy = posterior_metrics(q(mixture), mixture, q, 0)["entropy"]
    torch.testing.assert_close(entropy, torch.tensor(1.4189), atol=1e-4, rtol=0)


def test_a_healthy_run_raises_no_alarm():
    shares = {"sleep/energy_share/bass": 0.4, "wake/energy_share/bass": 0.2}
    assert alarms({**shares, "wake/relative_std": 0.05, "skipped_updates": 0.0, "loss": -3.0}) == []


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ({"wake/energy_share/bass": 1e-4, "energy_share/drums": 0.5}, "bass has gone silent: 0.010 %"),
        ({"skipped_updates": 2.0}, "2 updates skipped"),
        ({"wake/relative_std": 3e-3}, "collapsed: its standard deviation is 0.30 % of the mixture's"),
        (
            {"sleep/energy_share/bass": 0.4, "remix/energy_share/bass": 0.05},
            "bass drifts: 5.0 % of the energy of real mixtures, 40.0 % of that of Sleep's",
        ),
    ],
)
def test_an_alarm_is_one_sentence(metrics, words):
    (sentence,) = alarms(metrics)
    assert words in sentence
