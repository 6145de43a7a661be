"""The contracts of an objective and of self-training, and maximum likelihood, which trains the priors."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn
from typing_extensions import override

from vsep_ray.joint import Joint
from vsep_ray.objectives.point import PointConfig
from vsep_ray.priors.prior import Prior
from vsep_ray.separators.separator import Separator

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
        """What a run must keep beside the trained module to go on as it would have, such as a teacher."""
        return None

    @abstractmethod
    def forward(self, batch: Batch, step: int) -> Metrics:
        """Returns the loss and other scalars of a batch.

        Shape: clips (B, C, T); sources and remix (B, K, C, T); mixture (B, C, T).
        """


class SelfTraining(ABC):
    """The config of what learns from unlabelled mixtures beside Sleep, in regimes A and B.

    To add one: write one file with a frozen config that extends this class, or `AnchoredConfig` where Sleep
    stays beside it, and the objective that it builds; add the config to the union
    `vsep_ray.objectives.SelfTrainingConfig`. The contract tests, the command line (``--self-training NAME``)
    and the sweeps find it there.
    """

    reads_mixtures: ClassVar[bool] = True
    """Whether unlabelled mixtures are in the batches."""
    needs_noise: ClassVar[tuple[str, ...]] = ()
    """Fields that act only where the mixing has noise."""

    @property
    def asks_priors(self) -> bool:
        """Whether the objective has the frozen priors in it."""
        return True

    @abstractmethod
    def build(self, separator: Separator, joint: Joint | None, point: PointConfig) -> Objective:
        """Returns the whole objective of a training: this and the Sleep beside it.

        Args:
            separator: what is trained.
            joint: frozen priors, in the separator's order of sources; None where they are not asked.
            point: of `Sleep`.
        """


class MaximumLikelihood(Objective):
    """-log p_sigma(x + sigma e): trains one prior on clips of its source."""

    needs = ("clips",)

    def __init__(self, prior: Prior) -> None:
        super().__init__()
        self.prior = prior

    @override
    def forward(self, batch: Batch, step: int) -> Metrics:
        return self.prior.loss(batch["clips"])
