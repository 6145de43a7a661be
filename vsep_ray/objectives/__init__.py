"""What training minimises. Each objective is a module, so that DDP wraps the very thing that is called."""

from vsep_ray.objectives.anchored import Anchored, NoneConfig
from vsep_ray.objectives.objective import Batch, MaximumLikelihood, Metrics, Objective, SelfTraining
from vsep_ray.objectives.point import AbsoluteErrorConfig, LogErrorConfig, PointConfig, PointLossConfig
from vsep_ray.objectives.remix import Remix, RemixConfig
from vsep_ray.objectives.sleep import Sleep, Supervised
from vsep_ray.objectives.wake import Wake, WakeConfig

# The union of all self-training: a new one is one file and one name here.
SelfTrainingConfig = NoneConfig | WakeConfig | RemixConfig

__all__ = [
    "AbsoluteErrorConfig",
    "Anchored",
    "Batch",
    "LogErrorConfig",
    "MaximumLikelihood",
    "Metrics",
    "NoneConfig",
    "Objective",
    "PointConfig",
    "PointLossConfig",
    "Remix",
    "RemixConfig",
    "SelfTraining",
    "SelfTrainingConfig",
    "Sleep",
    "Supervised",
    "Wake",
    "WakeConfig",
]
