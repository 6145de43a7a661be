import contracts
import torch

from vsep_ray.separators import DemucsConfig


def test_the_lstm_sees_the_whole_chunk_and_without_it_the_field_is_finite(float64):
    torch.manual_seed(0)
    far = torch.randn(1, 1, 256).requires_grad_()
    for layers, sees_all in ((1, True), (0, False)):
        backbone = contracts.jiggle(DemucsConfig(levels=2, width=4, lstm=layers).build(2, 1), 0.2)
        (gradient,) = torch.autograd.grad(backbone(far)[0, 0, 0, 0, 0], far)
        assert bool(gradient[..., -1].any()) == sees_all


def test_every_level_has_its_skip():
    backbone = contracts.jiggle(DemucsConfig(levels=2, width=4, lstm=0).build(2, 1), 0.2)
    assert len(backbone.encoder) == len(backbone.decoder) == 2
    assert backbone.encoder[0](torch.zeros(1, 1, 64)).shape == (1, 4, 16)
