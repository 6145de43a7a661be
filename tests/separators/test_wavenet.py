import contracts
import torch

from vsep_ray.separators import NonCausalWaveNetConfig

SMALL = NonCausalWaveNetConfig(width=4, layers=4, cycle=2, post=6)


def test_it_sees_both_sides_as_far_as_its_dilations_reach(float64):
    torch.manual_seed(0)
    backbone = contracts.jiggle(SMALL.build(2, 1), 0.5)
    field = torch.autograd.functional.jacobian(
        lambda x: backbone(x)[0, :, :, 0, 20].sum(), torch.randn(1, 1, 41)
    )
    reach = 1 + (1 + 2 + 1 + 2) + 1 + 1  # first layer, two cycles, two layers after the skips
    assert field.flatten().nonzero().flatten().tolist() == list(range(20 - reach, 20 + reach + 1))


def test_it_starts_from_equal_parts():
    backbone, mixture = SMALL.build(4, 1), torch.randn(2, 1, 64)
    torch.nn.init.zeros_(backbone.post[-1].weight)
    torch.nn.init.zeros_(backbone.post[-1].bias)
    out = backbone(mixture)
    torch.testing.assert_close(out[:, :, 0], (mixture / 4).unsqueeze(1).expand(-1, 4, -1, -1))
    assert not out[:, :, 1].any()
