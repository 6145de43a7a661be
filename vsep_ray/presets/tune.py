"""tune.py: its config and presets."""

from dataclasses import dataclass, field, replace

from vsep_ray.presets.job import JobConfig
from vsep_ray.presets.training import (
    SMOKE_BACKBONE,
    SMOKE_FIT,
    TRAIN_PRIORS,
    ResourcesConfig,
    TrainPriorsConfig,
    TrainSeparatorConfig,
)
from vsep_ray.schedules import Schedule
from vsep_ray.separators import SeparatorConfig
from vsep_ray.training import FitConfig


@dataclass(frozen=True)
class TuneConfig(JobConfig):
    """Search beta, flow depth, and any other field of the separator's config."""

    crops: str = ""
    """Crop store. Default: the latest in the storage; with presets toy and smoke it is made if there is
    none."""
    betas: tuple[float, ...] = (0.1, 1.0, 10.0)
    """Weights of the KL part of the ELBO to try (nats against nats)."""
    depths: tuple[int, ...] = (2, 4, 8)
    """Flow steps per block of the priors to try; priors are trained once per depth and seed."""
    axes: tuple[str, ...] = ()
    """Further axes as path=value,value, such as fit.learning_rate=0.001,0.0003 (paths in the separator's
    config)."""
    seeds: tuple[int, ...] = (0,)
    """Repeats."""
    reduction: int = 3
    """ASHA keeps one of so many trials at each rung."""
    priors: TrainPriorsConfig = field(default_factory=TrainPriorsConfig)
    separator: TrainSeparatorConfig = field(
        default_factory=lambda: TrainSeparatorConfig(
            separator=SeparatorConfig(noise_std=0.02), sleep_fraction=Schedule(0.5, 0.5), force=True
        )
    )
    resources: ResourcesConfig = field(default_factory=ResourcesConfig)

    @property
    def fit(self) -> FitConfig:
        """The separator's; the length of a trial."""
        return self.separator.fit


TUNE = {
    "toy": TuneConfig(
        priors=TrainPriorsConfig(fit=FitConfig(steps=300, batch_size=32, checkpoint_every=300)),
        separator=replace(
            TuneConfig().separator,
            fit=FitConfig(steps=600, batch_size=64, learning_rate=2e-3, checkpoint_every=100),
        ),
    ),
    "smoke": TuneConfig(
        preset="smoke", betas=(0.1, 10.0), depths=(1, 2), priors=TRAIN_PRIORS["smoke"],
        separator=TrainSeparatorConfig(
            preset="smoke", fit=SMOKE_FIT, force=True, sleep_fraction=Schedule(0.5, 0.5),
            separator=SeparatorConfig(backbone=SMOKE_BACKBONE, noise_std=0.02),
        ),
    ),
}  # fmt: skip
