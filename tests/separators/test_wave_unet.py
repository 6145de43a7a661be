import contracts
import torch

from vsep_ray.separators import WaveUNetConfig
from vsep_ray.separators.wave_unet import _double


def test_upsampling_interpolates_linearly_and_holds_the_end():
    assert _double(torch.tensor([[[0.0, 2.0, 6.0]]])).flatten().tolist() == [0, 1, 2, 4, 6, 6]


def test_the_receptive_field_spans_the_levels(float64):
    torch.manual_seed(0)
    backbone = contracts.jiggle(
        WaveUNetConfig(levels=3, width=4, down_kernel=3, up_kernel=3).build(1, 1), 0.3
    )
    field = torch.autograd.functional.jacobian(
        lambda x: backbone(x)[0, 0, 0, 0, 64], torch.randn(1, 1, 128)
    ).flatten()
    seen = field.nonzero().flatten()
    assert 8 < 64 - seen.min() < 64 and 8 < seen.max() - 64 < 64
