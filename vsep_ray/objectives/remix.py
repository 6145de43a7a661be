"""Self-training on unlabelled mixtures, and the anchor beside it."""

import copy
import dataclasses

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from vsep_ray.inference import RefineConfig, amortized, refine
from vsep_ray.joint import Joint
from vsep_ray.objectives.objective import Batch, Metrics, Objective
from vsep_ray.objectives.sleep import Sleep, negative_log_posterior
from vsep_ray.objectives.wake import Wake
from vsep_ray.parallel import collectives, random
from vsep_ray.schedules import Schedule
from vsep_ray.separators.separator import Separator


class Remix(Objective):
    """Self-training on unlabelled mixtures: -log q(s | m) for new mixtures of a teacher's estimates.

    The teacher, a moving average of the separator, separates the batch; each source's estimates are dealt out
    anew over the items, so that a new mixture has parts of different songs. Where there are priors, they
    first refine the estimates: what the priors know of real mixtures is distilled into q.

    Args:
        separator: the student.
        mean_weight: as in `Sleep`.
        decay: of the teacher's moving average, per step.
        joint: frozen priors, in the separator's order of sources, whose `refine` corrects the estimates;
            None: none does.
        refinement: how.

    Reference: Tzinis et al., RemixIT: continual self-training of speech enhancement models via bootstrapped
    remixing, 2022; for separation: Saijo & Ogawa, Self-Remixing, 2023.
    """

    needs = ("mixture",)

    def __init__(
        self,
        separator: Separator,
        mean_weight: float = 0.0,
        decay: float = 0.99,
        joint: Joint | None = None,
        refinement: RefineConfig = RefineConfig(),  # noqa: B008  (frozen)
    ) -> None:
        super().__init__()
        self.separator, self.mean_weight, self.decay = separator, mean_weight, decay
        self.teacher = copy.deepcopy(separator).requires_grad_(False).eval()
        self.joint, self.refinement = joint, refinement

    @property
    def memory(self) -> nn.Module:
        """The teacher."""
        return self.teacher

    def train(self, mode: bool = True) -> "Remix":
        """The teacher stays in eval mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, batch: Batch, step: int) -> Metrics:
        """See `Objective.forward`; mixture (B, C, T)."""
        mixture = batch["mixture"]
        with torch.no_grad():
            self._follow(step)
            remix = _dealt(self._estimates(mixture))
        return negative_log_posterior(self.separator, remix, self.mean_weight)

    def _estimates(self, mixture: Tensor) -> Tensor:
        if self.joint is None:
            return amortized(mixture, separator=self.teacher)
        options = dataclasses.asdict(self.refinement)
        return refine(mixture, separator=self.teacher, joint=self.joint, **options)

    def _follow(self, step: int) -> None:
        teacher, student = (list(m.parameters()) for m in (self.teacher, self.separator))
        get_ema_multi_avg_fn(self.decay)(teacher, student, step)


def _dealt(estimates: Tensor) -> Tensor:
    """Each source's estimates dealt out anew over the items of all workers; one's own items of them.

    Shape: (B, K, C, T) -> (B, K, C, T).
    """
    everyones, own = collectives.gathered(estimates)
    keys, _ = collectives.gathered(random.uniform(estimates.shape[:2], estimates))
    order = keys.argsort(0)[own, :, None, None].expand_as(estimates)
    return everyones.gather(0, order)


class Anchored(Objective):
    """fraction(step) x Sleep + (1 - fraction(step)) x another objective: the anchor that keeps Wake, or
    self-training, from collapsing.

    A term of weight 0 is not computed.
    """

    needs = ("remix", "mixture")

    def __init__(self, sleep: Sleep, other: Wake | Remix, sleep_fraction: Schedule) -> None:
        super().__init__()
        self.sleep, self.other, self.sleep_fraction = sleep, other, sleep_fraction

    @property
    def memory(self) -> nn.Module | None:
        """That of the other objective."""
        return self.other.memory

    def forward(self, batch: Batch, step: int) -> Metrics:
        """See `Objective.forward`."""
        fraction = self.sleep_fraction(step)
        metrics: Metrics = {}
        loss = batch["mixture"].new_zeros(())
        for objective, weight in ((self.sleep, fraction), (self.other, 1 - fraction)):
            if weight > 0:
                name, part = type(objective).__name__.lower(), objective(batch, step)
                loss = loss + weight * part["loss"]
                metrics |= {f"{name}/{k}": v for k, v in part.items()}
        return {"loss": loss, **metrics}
