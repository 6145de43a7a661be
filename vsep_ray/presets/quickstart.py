"""quickstart.py: its config and presets."""

from dataclasses import dataclass, field, replace
from typing import Any

from vsep_ray.data.toy import ToyConfig
from vsep_ray.dreaming import DreamConfig
from vsep_ray.presets.crops import PREPARE_CROPS, PrepareCropsConfig
from vsep_ray.presets.job import JobConfig
from vsep_ray.presets.training import (
    TrainPriorsConfig,
    TrainSeparatorConfig,
)
from vsep_ray.priors import FlowConfig
from vsep_ray.training import FitConfig


@dataclass(frozen=True)
class QuickstartConfig(JobConfig):
    """Toy waves end to end: crops, priors, separators, evaluation, a small catalog, MLflow."""

    preset: str = "smoke"
    """Named starting values."""
    crops: PrepareCropsConfig = field(default_factory=PrepareCropsConfig)
    priors: TrainPriorsConfig = field(default_factory=TrainPriorsConfig)
    separator: TrainSeparatorConfig = field(default_factory=TrainSeparatorConfig)
    regime_a_steps: int = 150
    """Optimiser steps of the regime-A separator (regime B takes those of separator.fit)."""
    catalog_tracks: int = 4
    """Toy songs in the catalog that is separated at the end."""

    def regimes(self) -> dict[str, TrainSeparatorConfig]:
        """The separator jobs, B last, so that it ends as the champion."""
        a = replace(self.separator, regime="A", fit=replace(self.separator.fit, steps=self.regime_a_steps))
        return {"A": a, "B": replace(self.separator, regime="B")}


def _quickstart(
    preset: str, toy: ToyConfig, prior: FlowConfig, prior_fit: FitConfig, fit: FitConfig, **changes: Any
) -> QuickstartConfig:
    return QuickstartConfig(
        preset=preset,
        crops=PrepareCropsConfig(preset=preset, toy=toy),
        priors=TrainPriorsConfig(preset=preset, prior=prior, fit=prior_fit),
        separator=TrainSeparatorConfig(preset=preset, fit=fit, force=True, **changes),
    )


QUICKSTART = {
    "smoke": _quickstart(
        "smoke",
        PREPARE_CROPS["small"].toy,
        FlowConfig(),
        FitConfig(steps=300, batch_size=32, learning_rate=1e-3, checkpoint_every=300),
        FitConfig(steps=600, batch_size=64, learning_rate=2e-3, checkpoint_every=300),
        dreams=DreamConfig(1_024),
    ),
    "toy": _quickstart(
        "toy",
        replace(ToyConfig(), train_tracks=32_768, valid_tracks=512, test_tracks=512),
        FlowConfig(steps=12, width=96, layers=4),
        FitConfig(steps=4_000, batch_size=32, learning_rate=1e-3),
        FitConfig(steps=8_000, batch_size=64, learning_rate=2e-3),
    ),
}
