import pytest
import torch

from vsep_ray.transforms.mulaw import compand, expand, log_slope


def test_the_curve_is_that_of_g711(float64):
    """Half of full scale lies at ln(128.5) / ln(256)."""
    half = compand(torch.tensor([0.5, -0.5]))
    torch.testing.assert_close(half, torch.tensor([0.8757030686, -0.8757030686]))


@pytest.mark.parametrize("scale", [1e-6, 0.1, 1.0, 3.0])
def test_expand_inverts_it_beyond_full_scale_too(scale, float64):
    x = scale * torch.linspace(-1, 1, 41)
    torch.testing.assert_close(expand(compand(x)), x)
    torch.testing.assert_close(compand(expand(x)), x)


def test_log_slope_is_the_derivative(float64):
    x = torch.tensor([-2.0, -0.3, -1e-9, 0.01, 1.0], requires_grad=True)
    (slope,) = torch.autograd.grad(compand(x).sum(), x)
    torch.testing.assert_close(log_slope(x), slope.log())
