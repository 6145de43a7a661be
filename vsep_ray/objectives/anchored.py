"""Sleep alone, and Sleep as the anchor of another objective."""

from abc import abstractmethod
from dataclasses import dataclass, field

from torch import nn

from vsep_ray.config import UserError
from vsep_ray.joint import Joint
from vsep_ray.objectives.objective import Batch, Metrics, Objective, SelfTraining
from vsep_ray.objectives.point import PointConfig
from vsep_ray.objectives.sleep import Sleep
from vsep_ray.schedules import Schedule
from vsep_ray.separators.separator import Separator


@dataclass(frozen=True)
class NoneConfig(SelfTraining):
    """No self-training: Sleep alone, which reads no mixtures."""

    reads_mixtures = False
    asks_priors = False

    def build(self, separator: Separator, joint: Joint | None, point: PointConfig) -> Sleep:
        """Returns Sleep."""
        return Sleep(separator, point)


@dataclass(frozen=True)
class AnchoredConfig(SelfTraining):
    """What every self-training beside Sleep has: the weight of Sleep against it.

    Raises:
        UserError: the weight leaves nothing to the objective beside Sleep, or is no share.
    """

    sleep_fraction: Schedule = field(default_factory=lambda: Schedule(0.5, 0.5))
    """Sleep has this weight, in [0, 1], over the steps; what is trained beside it has the rest."""

    def __post_init__(self) -> None:
        ends = (self.sleep_fraction.start, self.sleep_fraction.end)
        if not 0 <= min(ends) < 1 or max(ends) > 1:
            raise UserError(
                f"sleep_fraction must lie in [0, 1] and not be 1 throughout, got {ends}; "
                "--self-training none is Sleep alone"
            )

    @abstractmethod
    def beside(self, separator: Separator, joint: Joint | None, point: PointConfig) -> Objective:
        """Returns the objective that Sleep anchors; the arguments are those of `build`."""

    def build(self, separator: Separator, joint: Joint | None, point: PointConfig) -> "Anchored":
        """Returns the objective beside Sleep."""
        other = self.beside(separator, joint, point)
        return Anchored(Sleep(separator, point), other, self.sleep_fraction)


class Anchored(Objective):
    """fraction(step) x Sleep + (1 - fraction(step)) x another objective.

    Sleep is the anchor that keeps Wake, or any self-training, from collapsing. A term of weight 0 is not
    computed.
    """

    needs = ("remix", "mixture")

    def __init__(self, sleep: Sleep, other: Objective, sleep_fraction: Schedule) -> None:
        super().__init__()
        self.sleep, self.other, self.sleep_fraction = sleep, other, sleep_fraction

    @property
    def memory(self) -> nn.Module | None:
        """The memory of the other objective."""
        return self.other.memory

    def forward(self, batch: Batch, step: int) -> Metrics:
        """Returns the sum of both losses in their proportion, and their scalars under ``<objective>/``."""
        fraction = self.sleep_fraction(step)
        metrics: Metrics = {}
        loss = batch["mixture"].new_zeros(())
        for objective, weight in ((self.sleep, fraction), (self.other, 1 - fraction)):
            if weight > 0:
                name, part = type(objective).__name__.lower(), objective(batch, step)
                loss = loss + weight * part["loss"]
                metrics |= {f"{name}/{k}": v for k, v in part.items()}
        return {"loss": loss, **metrics}
