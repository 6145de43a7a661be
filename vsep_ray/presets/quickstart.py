"""quickstart.py has its config and presets here."""

from dataclasses import dataclass, field, replace

from vsep_ray.config import UserError
from vsep_ray.datasets.toy import ToyConfig
from vsep_ray.dreaming import DreamConfig
from vsep_ray.presets.crops import SMOKE_TOY, PrepareCropsConfig
from vsep_ray.presets.evaluate import Method
from vsep_ray.presets.job import JobConfig, set_above
from vsep_ray.presets.priors import TrainPriorsConfig
from vsep_ray.presets.separator import TrainSeparatorConfig
from vsep_ray.presets.training import JOINING
from vsep_ray.priors import ScoreConfig
from vsep_ray.training import FitConfig


@dataclass(frozen=True)
class QuickstartConfig(JobConfig):
    """Runs toy waves end to end: crops, priors, separators, evaluation, a small catalog, MLflow."""

    preset: str = "smoke"
    """A preset has starting values."""
    crops: PrepareCropsConfig = field(default_factory=PrepareCropsConfig)
    priors: TrainPriorsConfig = field(default_factory=TrainPriorsConfig)
    separator: TrainSeparatorConfig = field(default_factory=lambda: TrainSeparatorConfig(regime="A"))
    regime_a_steps: int = 500
    """The regime-A separator takes this number of steps, and the regime-B separator those of
    separator.fit."""
    methods: tuple[Method, ...] = ("amortized", "refine")
    """The evaluation scores these ways of inference."""
    catalog_tracks: int = 4
    """The catalog that is separated at the end has this number of toy songs."""

    def __post_init__(self) -> None:
        if self.separator.regime != "A":  # the one whose fields are all of B's and more: `regimes` makes both
            raise UserError("the quickstart trains regimes A and B; leave out --separator.regime")

    def idle(self) -> dict[str, str]:
        """Returns what the quickstart sets for the jobs that it starts."""
        return {
            **set_above("crops"),
            **set_above("priors", *JOINING),
            **set_above("separator", *JOINING, "priors"),
        }

    def regimes(self) -> dict[str, TrainSeparatorConfig]:
        """Returns the separator jobs, B last, so that it ends as the champion.

        The levels of dreams are the priors' own, hence a random gain of 6 dB where none is asked for.
        """
        fit = replace(self.separator.fit, steps=self.regime_a_steps)
        augment = replace(self.separator.augment, gain_db=self.separator.augment.gain_db or 6.0)
        return {
            "A": replace(self.separator, regime="A", fit=fit, augment=augment),
            "B": replace(self.separator, regime="B"),
        }


def _quickstart(
    preset: str, toy: ToyConfig, prior_steps: int, fit: FitConfig, dreams: DreamConfig
) -> QuickstartConfig:
    """Returns a quickstart with score models: they have the best dreams after a minute, and they refine."""
    prior_fit = FitConfig(prior_steps, 32, 2e-3, log_every=100, checkpoint_every=prior_steps)
    return QuickstartConfig(
        preset=preset,
        crops=PrepareCropsConfig(preset=preset, dataset=toy),
        priors=TrainPriorsConfig(
            preset=preset,
            prior=ScoreConfig(ode_steps=12),
            fit=prior_fit,
            noise_stds=(0.03, 0.1, 0.3),
        ),
        separator=TrainSeparatorConfig(preset=preset, regime="A", fit=fit, dreams=dreams, force=True),
    )


QUICKSTART = {
    "smoke": _quickstart(
        "smoke",
        replace(SMOKE_TOY, train_tracks=8_192, valid_tracks=256, test_tracks=256),
        1_500,
        FitConfig(steps=600, batch_size=64, learning_rate=2e-3, checkpoint_every=300),
        DreamConfig(1_024, temperatures=(1.0, 0.8), sigma=0.03),
    ),
    "toy": _quickstart(
        "toy",
        replace(ToyConfig(), train_tracks=32_768, valid_tracks=512, test_tracks=512),
        20_000,
        FitConfig(steps=8_000, batch_size=64, learning_rate=2e-3),
        DreamConfig(4_096, temperatures=(1.0, 0.8), sigma=0.03),
    ),
}
