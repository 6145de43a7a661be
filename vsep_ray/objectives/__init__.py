"""What training minimises. Each objective is a module, so that DDP wraps the very thing that is called."""

from vsep_ray.objectives.objective import Batch, MaximumLikelihood, Metrics, Objective
from vsep_ray.objectives.remix import Anchored, Remix
from vsep_ray.objectives.sleep import Sleep, Supervised
from vsep_ray.objectives.wake import Wake

__all__ = [
    "Anchored",
    "Batch",
    "MaximumLikelihood",
    "Metrics",
    "Objective",
    "Remix",
    "Sleep",
    "Supervised",
    "Wake",
]
