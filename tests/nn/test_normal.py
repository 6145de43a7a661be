import torch
from torch.distributions import Normal

from vsep_ray.nn.normal import normal


def test_it_is_the_normal_distribution_and_lets_nan_through():
    x, mean, std = torch.randn(5), torch.randn(5), torch.rand(5) + 0.1
    assert torch.equal(normal(mean, std).log_prob(x), Normal(mean, std).log_prob(x))
    assert normal(mean * torch.nan, std).log_prob(x).isnan().all()
