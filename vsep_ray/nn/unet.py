"""A one-dimensional U-Net of residual blocks."""

from torch import Tensor, nn
from typing_extensions import override

from vsep_ray.nn.conv import Conv, residual_stack


class UNet(nn.Module):
    """Residual blocks at 1, 1/2, 1/4 ... of the frame rate, joined by skip connections.

    Args:
        width: channels at every level.
        levels: number of halvings of the frame rate; 0 is a plain residual stack.
        blocks: residual blocks per level on the way down and again on the way up.

    Shape: (B, width, N) -> (B, width, N), any N >= 1 (padded to a multiple of 2^levels and cropped).
    Reference: Ronneberger et al., U-Net, 2015; Jansson et al., Singing voice separation with deep U-Net,
    2017.
    Deviations: one axis, constant width, residual blocks, nearest-neighbour upsampling.
    """

    def __init__(self, width: int, levels: int, blocks: int) -> None:
        super().__init__()
        self.levels = levels
        self.down = nn.ModuleList(residual_stack(width, blocks) for _ in range(levels))
        self.shrink = nn.ModuleList(Conv(width, width, 2, stride=2) for _ in range(levels))
        self.middle = residual_stack(width, blocks)
        self.join = nn.ModuleList(_Join(width) for _ in range(levels))
        self.up = nn.ModuleList(residual_stack(width, blocks) for _ in range(levels))

    def forward(self, x: Tensor) -> Tensor:
        """Returns the frames after all levels. Shape: (B, width, N) -> (B, width, N)."""
        frames = x.shape[-1]
        x = nn.functional.pad(x, (0, -frames % 2**self.levels))
        skips = []
        for blocks, shrink in zip(self.down, self.shrink, strict=True):
            skips.append(blocks(x))
            x = shrink(skips[-1])
        x = self.middle(x)
        for blocks, join in zip(self.up, self.join, strict=True):
            x = blocks(join(x, skips.pop()))
        return x[..., :frames]


class _Join(Conv):
    """A layer over the channels of both, the first at half the frame rate: (B, W, N), (B, W, 2 N)."""

    def __init__(self, width: int) -> None:
        super().__init__(2 * width, width, 1)

    @override
    def forward(self, slow: Tensor, fast: Tensor) -> Tensor:  # type: ignore[override]
        # one frame of the slow one is two of the result: no need to compute it twice
        of_slow, of_fast = self.weight[..., 0].chunk(2, 1)
        doubled = nn.functional.linear(slow.mT, of_slow).repeat_interleave(2, 1)
        return (doubled + nn.functional.linear(fast.mT, of_fast, self.bias)).mT
