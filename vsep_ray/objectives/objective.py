"""The contract of an objective, and maximum likelihood, which trains the priors."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from vsep_ray.priors.prior import Prior

Batch = dict[str, Tensor]
Metrics = dict[str, Tensor]


class Objective(nn.Module, ABC):
    """A loss over a batch.

    To add one: set ``needs`` to the batch keys it reads (a test feeds NaN under all others) and return
    ``"loss"``, a scalar, beside whatever is worth a curve. Losses are in nats per waveform sample: the sum
    over K, C, T divided by K C T, which scales the whole loss and hides no weight.
    """

    needs: ClassVar[tuple[str, ...]]

    @property
    def memory(self) -> nn.Module | None:
        """What a run must keep beside the trained module to go on as it would have: a teacher."""
        return None

    @abstractmethod
    def forward(self, batch: Batch, step: int) -> Metrics:
        """Shape: clips (B, C, T); sources and remix (B, K, C, T); mixture (B, C, T)."""


class MaximumLikelihood(Objective):
    """-log p_sigma(x + sigma e): trains one prior on clips of its source."""

    needs = ("clips",)

    def __init__(self, prior: Prior) -> None:
        super().__init__()
        self.prior = prior

    def forward(self, batch: Batch, step: int) -> Metrics:
        """See `Prior.loss`."""
        return self.prior.loss(batch["clips"])
