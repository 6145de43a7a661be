"""The jobs have their configs and presets here, a file per job.

``smoke``: tests, minutes. ``toy``: toy waves on a laptop. ``small``: short toy waves, on which the kinds of
priors (``small-KIND``) and the regimes (``small-a``, ``small-b``, ``small-c``) can be compared in minutes.
``laptop``: 16 kHz music on a laptop. ``band-b``: 44.1 kHz music on a CPU, the recipe of the bundled model.
``music``: 44.1 kHz music on GPUs.
"""

from vsep_ray.presets.benchmark import BENCHMARK, BenchmarkConfig
from vsep_ray.presets.catalog import SEPARATE_CATALOG, AudioFormat, SeparateCatalogConfig
from vsep_ray.presets.crops import PREPARE_CROPS, PrepareCropsConfig
from vsep_ray.presets.evaluate import EVALUATE, CropsConfig, EvaluateConfig
from vsep_ray.presets.job import Device, JobConfig
from vsep_ray.presets.priors import TRAIN_PRIORS, TrainPriorsConfig
from vsep_ray.presets.quickstart import QUICKSTART, QuickstartConfig
from vsep_ray.presets.separator import TRAIN_SEPARATOR, Regime, TrainSeparatorConfig
from vsep_ray.presets.training import CropsJobConfig, ResourcesConfig, TrainingConfig
from vsep_ray.presets.tune import TUNE, TuneConfig

__all__ = [
    "BENCHMARK",
    "EVALUATE",
    "PREPARE_CROPS",
    "QUICKSTART",
    "SEPARATE_CATALOG",
    "TRAIN_PRIORS",
    "TRAIN_SEPARATOR",
    "TUNE",
    "AudioFormat",
    "BenchmarkConfig",
    "CropsConfig",
    "CropsJobConfig",
    "Device",
    "EvaluateConfig",
    "JobConfig",
    "PrepareCropsConfig",
    "QuickstartConfig",
    "Regime",
    "ResourcesConfig",
    "SeparateCatalogConfig",
    "TrainPriorsConfig",
    "TrainSeparatorConfig",
    "TrainingConfig",
    "TuneConfig",
]
