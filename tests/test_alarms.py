import torch
from torch.distributions import Independent, Normal

from vsep_ray.alarms import alarms, energy_shares, entropy_per_sample, share_metrics


def test_energy_shares_add_up_to_one_and_ignore_level():
    shares = torch.ones(2, 2, 1, 100) * torch.tensor([3.0, 1.0])[:, None, None]
    shares[1] *= 100
    torch.testing.assert_close(energy_shares(shares), torch.tensor([0.9, 0.1]))
    torch.testing.assert_close(energy_shares(torch.zeros(2, 4, 1, 10)), torch.full((4,), 0.25))


def test_shares_are_logged_by_name_without_a_graph():
    metrics = share_metrics(torch.randn(2, 2, 1, 8, requires_grad=True), ["bass", "drums"])
    assert list(metrics) == ["energy_share/bass", "energy_share/drums"]
    assert not any(v.requires_grad for v in metrics.values())


def test_entropy_per_sample():
    q = Independent(Normal(torch.zeros(3, 2, 1, 5), 1.0), 3)
    torch.testing.assert_close(entropy_per_sample(q, q.mean), torch.tensor(1.4189), atol=1e-4, rtol=0)


def test_alarms_speak_of_silent_sources_and_skipped_updates():
    assert alarms({"energy_share/bass": 0.4, "skipped_updates": 0.0, "loss": -3.0}) == []
    spoken = alarms({"wake/energy_share/bass": 1e-4, "energy_share/drums": 0.5, "skipped_updates": 2.0})
    assert len(spoken) == 2
    assert "bass has gone silent" in spoken[0] and spoken[1].startswith("2 updates skipped")
