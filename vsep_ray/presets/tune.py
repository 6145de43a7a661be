"""tune.py has its config and presets here."""

from dataclasses import dataclass, field, fields, replace

from vsep_ray.config import idle, option
from vsep_ray.dreaming import DreamConfig
from vsep_ray.objectives import WakeConfig
from vsep_ray.presets.job import set_above
from vsep_ray.presets.priors import TRAIN_PRIORS, TrainPriorsConfig
from vsep_ray.presets.separator import DREAMING, SMOKE_BACKBONE, TrainSeparatorConfig
from vsep_ray.presets.training import JOINING, SMOKE_FIT, CropsJobConfig
from vsep_ray.priors import FlowConfig
from vsep_ray.schedules import Schedule
from vsep_ray.separators import SeparatorConfig
from vsep_ray.training import FitConfig


@dataclass(frozen=True)
class TuneConfig(CropsJobConfig):
    """Searches beta, flow depth, and any other field of the separator's and the priors' configs."""

    betas: tuple[float, ...] = (0.1, 1.0, 10.0)
    """These weights of the KL part of the ELBO are tried (nats against nats), best in equal ratios. Without
    values the separator has its own."""
    depths: tuple[int, ...] = (2, 4, 8)
    """These numbers of flow steps per block of the priors are tried. Without values the priors have their
    own. Priors are trained once for all trials that share them."""
    axes: tuple[str, ...] = ()
    """Further axes have the form path=value,value, such as fit.learning_rate=0.001,0.0003 or
    self_training.samples=1,4 (paths in the separator's config) or priors.prior.width=32,48 (in the
    priors')."""
    search: str = option("", role="input")
    """This JSON file has axes, path -> list of values, such as {"beta": [0.1, 1], "seed": [0, 1, 2]}. It goes
    before the flags of the same axes."""
    seeds: tuple[int, ...] = (0,)
    """Every point is tried under each of the seeds."""
    draws: int = option(0, least=0)
    """Optuna draws this number of points in place of the whole grid, each in view of the trials that have
    ended. A number of the separator's lies anywhere between the least and the greatest value; all else is one
    of the values. 0 tries the grid."""
    reduction: int = option(3, least=1)
    """ASHA keeps one trial in this number at each rung; at 1 every trial runs to its end."""
    priors: TrainPriorsConfig = field(default_factory=TrainPriorsConfig)
    separator: TrainSeparatorConfig = field(
        default_factory=lambda: TrainSeparatorConfig(
            separator=SeparatorConfig(noise_std=0.02), self_training=WakeConfig(), force=True
        )
    )

    def idle(self) -> dict[str, str]:
        """Returns what the trials do not look at, and what they all take from the sweep."""
        exact = idle(self.separator).get("self_training.beta", "").replace("--", "--separator.")
        has_beta = any(f.name == "beta" for f in fields(self.separator.self_training))
        why = (
            exact or "no objective of the trials has it; add --separator.self-training wake, or leave it out"
        )
        inner = set_above("priors", *JOINING, "resources")
        inner |= set_above("separator", *JOINING, "priors", "resources")
        return {**super().idle(), **inner, **({"betas": why} if exact or not has_beta else {})}

    @property
    def fit(self) -> FitConfig:
        """The optimisation is the separator's; its steps are the length of a trial."""
        return self.separator.fit


_WAKE = TrainSeparatorConfig(
    regime="A",
    separator=SeparatorConfig(noise_std=0.02),
    fit=FitConfig(steps=100, batch_size=32, learning_rate=3e-4, log_every=25, checkpoint_every=100),
    augment=DREAMING["augment"],
    dreams=DREAMING["dreams"],
    self_training=WakeConfig(sigma=Schedule(0.2, 0.1, 100, "geometric")),
    force=True,
)
_SMALL = TuneConfig(
    preset="small-beta",
    seeds=(0, 1, 2),
    reduction=1,
    priors=TrainPriorsConfig(
        prior=FlowConfig(width=48),
        fit=FitConfig(steps=400, batch_size=32, learning_rate=2e-3, log_every=100, checkpoint_every=400),
    ),
    separator=_WAKE,
)
"""Wake runs under flows of three depths after Sleep on a WaveNet's dreams: name both by
--separator.dreams.priors and --separator.start."""

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
            preset="smoke", regime="A", fit=SMOKE_FIT, dreams=DreamConfig(64), force=True,
            self_training=WakeConfig(),
            separator=SeparatorConfig(backbone=SMOKE_BACKBONE, noise_std=0.02),
        ),
    ),
    "small-beta": _SMALL,
    "small-temperature": replace(
        _SMALL, preset="small-temperature", betas=(), depths=(4,),
        axes=("self_training.temperatures=[0.3],[1],[3]",),
        separator=replace(_WAKE, separator=SeparatorConfig()),
    ),
}  # fmt: skip
