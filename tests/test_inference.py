import torch
from gaussian import ExactSeparator

from vsep_ray.inference import amortized
from vsep_ray.mixing import LinearMixing


def test_amortized_is_the_posterior_mean_without_a_graph():
    separator = ExactSeparator({"a": 1.0, "b": 2.0}, LinearMixing((1.0, 1.0)))
    mixture = torch.randn(2, 1, 8, requires_grad=True)
    estimates = amortized(mixture, separator=separator)
    assert not estimates.requires_grad
    torch.testing.assert_close(estimates[:, 0], 0.2 * mixture.detach())
    torch.testing.assert_close(estimates[:, 1], 0.8 * mixture.detach())
