"""Self-training on unlabelled mixtures by remixing a teacher's estimates."""

import copy
import dataclasses
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from typing_extensions import override

from vsep_ray.inference import amortized, refine
from vsep_ray.joint import Joint
from vsep_ray.methods import RefineConfig
from vsep_ray.objectives.anchored import AnchoredConfig
from vsep_ray.objectives.objective import Batch, Metrics, Objective
from vsep_ray.objectives.point import PointConfig
from vsep_ray.objectives.sleep import LIKELIHOOD, negative_log_posterior
from vsep_ray.parallel import collectives, random
from vsep_ray.separators.separator import Separator


@dataclass(frozen=True)
class RemixConfig(AnchoredConfig):
    """A teacher's estimates of unlabelled mixtures, mixed anew, beside Sleep."""

    refinement: RefineConfig = field(default_factory=lambda: RefineConfig(steps=0))
    """The priors correct the teacher's estimates in this way; with 0 steps they do not."""

    @property
    def asks_priors(self) -> bool:
        """Whether the priors correct the estimates."""
        return self.refinement.steps > 0

    def idle(self) -> dict[str, str]:
        """Returns the fields that do not act without steps of refinement."""
        why = "the teacher's estimates are not corrected; add --refinement.steps 4, or leave it out"
        return {} if self.asks_priors else {"refinement.sigma": why, "refinement.step_size": why}

    def beside(self, separator: Separator, joint: Joint | None, point: PointConfig) -> "Remix":
        """Returns Remix."""
        return Remix(separator, point, joint=joint, refinement=self.refinement)


class Remix(Objective):
    """Self-training on unlabelled mixtures: -log q(s | m) for new mixtures of a teacher's estimates.

    The teacher, a moving average of the separator, separates the batch; each source's estimates are dealt out
    anew over the items, so that a new mixture has parts of different songs. Where there are priors, they
    first refine the estimates: what the priors know of real mixtures is distilled into q.

    Args:
        separator: the student.
        point: as in `Sleep`.
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
        point: PointConfig = LIKELIHOOD,
        decay: float = 0.99,
        joint: Joint | None = None,
        refinement: RefineConfig = RefineConfig(),  # noqa: B008  (frozen)
    ) -> None:
        super().__init__()
        self.separator, self.point, self.decay = separator, point, decay
        self.teacher = copy.deepcopy(separator).requires_grad_(False).eval()
        self.joint, self.refinement = joint, refinement

    @property
    def memory(self) -> nn.Module:
        """The teacher."""
        return self.teacher

    def train(self, mode: bool = True) -> "Remix":
        """Sets the mode of the student; the teacher stays in eval mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    @override
    def forward(self, batch: Batch, step: int) -> Metrics:
        with torch.no_grad():
            self._follow(step)
            remix = _dealt(self._estimates(batch["mixture"]))
        return negative_log_posterior(self.separator, remix, self.point, step)

    def _estimates(self, mixture: Tensor) -> Tensor:
        if self.joint is None:
            return amortized(mixture, separator=self.teacher)
        return refine(
            mixture, separator=self.teacher, joint=self.joint, **dataclasses.asdict(self.refinement)
        )

    def _follow(self, step: int) -> None:
        teacher, student = (list(m.parameters()) for m in (self.teacher, self.separator))
        get_ema_multi_avg_fn(self.decay)(teacher, student, step)


def _dealt(estimates: Tensor) -> Tensor:
    """Returns each source's estimates, dealt out anew over the items of all workers, for one's own items.

    Shape: (B, K, C, T) -> (B, K, C, T).
    """
    everyones, own = collectives.gathered(estimates)
    keys, _ = collectives.gathered(random.uniform(estimates.shape[:2], estimates))
    order = keys.argsort(0)[own, :, None, None].expand_as(estimates)
    return everyones.gather(0, order)
