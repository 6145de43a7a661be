"""evaluate.py: its config and presets."""

from dataclasses import dataclass, field
from typing import Literal

from vsep_ray.config import option
from vsep_ray.datasets.musdb import MUSDB18Config
from vsep_ray.datasets.registry import DatasetConfig
from vsep_ray.inference import LangevinConfig, RefineConfig
from vsep_ray.presets.job import Device, JobConfig

Method = Literal["amortized", "refine", "langevin"]


@dataclass(frozen=True)
class CropsConfig:
    """Held-out crops of a crop store: split test, or valid where there is none."""

    root: str = option("", role="input", short="root")
    """The crop store. Default: the latest in the storage. Short form: --root."""


@dataclass(frozen=True)
class EvaluateConfig(JobConfig):
    """Score separators, and ways of inference, on tracks with known stems, between mixture and oracle."""

    model: tuple[str, ...] = option((), role="input")
    """Checkpoint directories, runs:/... or models:/name@alias; each is scored by every method. Default: the
    latest separator in the storage."""
    methods: tuple[Method, ...] = ("amortized",)
    """Ways of inference: amortized (one pass), refine and langevin (with the priors)."""
    priors: str = option("", role="input")
    """For refine and langevin: folder with one prior per source, or the run id of train_priors.py. Default:
    the latest in the storage."""
    refine: RefineConfig = field(default_factory=RefineConfig)
    langevin: LangevinConfig = field(default_factory=LangevinConfig)
    dataset: CropsConfig | DatasetConfig = field(default_factory=CropsConfig)
    """Where the references come from. crops: held-out crops of a crop store. The others: whole tracks, as in
    prepare_crops.py."""
    max_tracks: int = 256
    """Score at most this many tracks."""
    bsseval: bool = False
    """Also BSS Eval v4 by museval (SIR, ISR, SAR; about 0.7 s of CPU time per second of audio)."""
    listening_tracks: int = option(4, role="manner")
    """Worst tracks that the listening page embeds."""
    device: Device = option("auto", role="resource")
    """Where the models run; auto: on GPUs if the cluster has any now. Say gpu where they come on demand."""

    @property
    def asks_priors(self) -> bool:
        """Whether a way of inference climbs the priors' density."""
        return bool({"refine", "langevin"} & set(self.methods))

    def idle(self) -> dict[str, str]:
        """The options of ways of inference that are not asked for."""
        found = {"fresh": "every evaluation starts anew"}
        unused = {m for m in ("refine", "langevin") if m not in self.methods}
        found |= {m: f"say --methods amortized {m} beside it" for m in sorted(unused)}
        cure = "no method asks the priors; say --methods amortized refine beside it"
        return found if self.asks_priors else {**found, "priors": cure}


EVALUATE = {
    "toy": EvaluateConfig(),
    "smoke": EvaluateConfig(preset="smoke", max_tracks=64, listening_tracks=2),
    "music": EvaluateConfig(preset="music", dataset=MUSDB18Config()),
}
