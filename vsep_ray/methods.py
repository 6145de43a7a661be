"""The ways from a mixture to its sources, by name and with their settings; a new one is a class here, and a
name in the union."""

import functools
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import torch
from torch import Tensor, nn

from vsep_ray.config import option
from vsep_ray.inference import SeparateFn, amortized, langevin, refine
from vsep_ray.joint import Joint
from vsep_ray.parallel import random
from vsep_ray.separators.separator import Separator

X = TypeVar("X")


@dataclass(frozen=True)
class AmortizedConfig:
    """One pass of the separator."""

    asks_priors: ClassVar[bool] = False

    def bind(self, separator: Separator, joint: Joint | None = None) -> SeparateFn:
        """Returns `inference.amortized` with this separator."""
        return functools.partial(amortized, separator=separator)


@dataclass(frozen=True)
class RefineConfig:
    """A few steps of the separator's estimate up the priors' density."""

    asks_priors: ClassVar[bool] = True

    sigma: float = option(0.05, was=("noise_std",))
    """The priors are asked at this noise level (units of the waveform); best near the estimate's error."""
    steps: int = 6
    """The estimate takes this number of steps."""
    step_size: float = 0.3
    """Each step goes this share of the way to what the priors take the noisy sources to be."""

    def bind(self, separator: Separator, joint: Joint | None = None) -> SeparateFn:
        """Returns `inference.refine` with this separator, these priors and these settings."""
        assert joint, "refine asks priors"
        return functools.partial(refine, separator=separator, joint=joint, **vars(self))


@dataclass(frozen=True)
class LangevinConfig:
    """Draws from the posterior by annealed Langevin steps, from the separator's estimate on."""

    asks_priors: ClassVar[bool] = True

    sigmas: tuple[float, ...] = option((0.1, 0.05, 0.03), was=("noise_stds",))
    """The draws go through these noise levels, descending (units of the waveform)."""
    steps: int = 4
    """A draw takes this number of steps per level."""
    step_size: float = 0.1
    """A step has this size, as a share of sigma^2."""
    samples: int = 4
    """This number of draws is averaged."""

    def bind(self, separator: Separator, joint: Joint | None = None) -> SeparateFn:
        """Returns `inference.langevin` with this separator, these priors and these settings."""
        assert joint, "langevin asks priors"
        return functools.partial(langevin, separator=separator, joint=joint, **vars(self))


# The union of all methods.
MethodConfig = AmortizedConfig | RefineConfig | LangevinConfig


def over_shifts(separate: SeparateFn, shifts: int, multiple: int) -> SeparateFn:
    """Returns a method that takes the mean over shifts of the mixture in time, which fall on other places of
    a separator's frames: (1 / S) sum_i shift_i^-1 f(shift_i m), shift_i by round(i multiple / S) samples.

    Sources that sum to the mixture still do. The shifts are not random, so that a resumed catalog has the
    same bytes.

    Args:
        separate: f, (B, C, T) -> (B, J, C, T).
        shifts: S; time grows in proportion.
        multiple: samples from one frame to the next, as a `Separator` has it.

    Reference: Defossez et al., Music source separation in the waveform domain, 2019 ("shift trick").
    """
    if shifts == 1:
        return separate
    places = [round(i * multiple / shifts) for i in range(shifts)]

    def mean(mixture: Tensor) -> Tensor:
        length = mixture.shape[-1]
        total = torch.zeros(())
        for place in places:
            shifted = separate(nn.functional.pad(mixture, (place, multiple - place)))
            total = total.to(shifted) + shifted[..., place : place + length]
        return total / shifts

    return mean


def seeded(separate: Callable[[Tensor], X]) -> Callable[[Tensor], X]:
    """Returns a method whose draws for a chunk are seeded by the chunk's own samples, so that they depend
    neither on its batch nor on where a catalog was resumed.
    """

    def drawn(mixture: Tensor) -> X:
        seeds = [zlib.crc32(x.cpu().numpy().tobytes()) for x in mixture]
        with random.by_item(seeds.__getitem__):
            return separate(mixture)

    return drawn
