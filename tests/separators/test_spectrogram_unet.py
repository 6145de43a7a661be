import contracts
import torch

from vsep_ray.separators import SpectrogramUNetConfig
from vsep_ray.separators.spectrogram_unet import upsampled

SMALL = SpectrogramUNetConfig(n_fft=32, hop=8, width=8, blocks=1)


def test_without_masks_of_its_own_the_shares_are_equal_parts():
    backbone, mixture = SMALL.build(4, 1), torch.randn(2, 1, 64)
    torch.nn.init.zeros_(backbone.masks.weight)
    torch.nn.init.zeros_(backbone.masks.bias)
    shares = backbone(mixture)[:, :, 0]
    torch.testing.assert_close(shares, (mixture / 4).unsqueeze(1).expand_as(shares), atol=1e-5, rtol=1e-5)


def test_frames_lie_at_multiples_of_the_hop():
    frames = torch.tensor([[[0.0, 8.0, 4.0]]])
    assert upsampled(frames, 4).flatten().tolist() == [0, 2, 4, 6, 8, 7, 6, 5, 4]


def test_the_phase_is_seen():
    backbone, mixture = contracts.jiggle(SMALL.build(2, 1)), torch.randn(1, 1, 64)
    assert not torch.allclose(backbone(mixture), backbone(-mixture) * torch.tensor([-1, 1])[:, None, None])
