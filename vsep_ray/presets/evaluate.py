"""evaluate.py has its config and presets here."""

from dataclasses import dataclass, field
from typing import Literal

from vsep_ray.config import option
from vsep_ray.datasets.musdb import MUSDB18Config
from vsep_ray.datasets.registry import DatasetConfig
from vsep_ray.methods import LangevinConfig, RefineConfig
from vsep_ray.nn.precision import Precision
from vsep_ray.presets.job import Device, JobConfig

Method = Literal["amortized", "refine", "langevin"]


@dataclass(frozen=True)
class CropsConfig:
    """The held-out crops of a crop store are those of split test, or of valid where there is none."""

    root: str = option("", role="input", short="root")
    """The crops are those of this store. Default: the latest in the storage. Short form: --root."""


@dataclass(frozen=True)
class EvaluateConfig(JobConfig):
    """Scores separators, and ways of inference, on tracks with known stems, between mixture and oracle."""

    model: tuple[str, ...] = option((), role="input")
    """These models are scored by every method: checkpoint directories, runs:/..., models:/name@alias, or
    `bundled`, which comes with vsep_ray. Default: on crops of toy waves the latest separator in the storage
    that learned from such, elsewhere the latest that did not, else bundled."""
    methods: tuple[Method, ...] = ("amortized",)
    """These ways of inference are scored: amortized (one pass), refine and langevin (with the priors)."""
    priors: str = option("", role="input")
    """refine and langevin ask the priors in this folder, or of this run id of train_priors.py. Default: the
    latest in the storage."""
    refine: RefineConfig = field(default_factory=RefineConfig)
    langevin: LangevinConfig = field(default_factory=LangevinConfig)
    shifts: int = option(1, later=True, least=1)
    """The mean is taken of what the models make of this number of shifts of each chunk, as in
    separate_catalog.py."""
    dataset: CropsConfig | DatasetConfig = field(default_factory=CropsConfig)
    """The references come from here: crops are held-out crops of a crop store, the others are whole tracks,
    as in prepare_crops.py."""
    max_tracks: int = option(256, least=1)
    """At most this number of tracks is scored."""
    sources: Literal["auto", "four", "six"] = "auto"
    """These stems are scored: `six` has the sources as the model knows them, `four` adds guitar and piano to
    other. auto means four where the references have neither of the two by itself, else six."""
    bsseval: bool = False
    """BSS Eval v4 by museval is added (SIR, ISR, SAR; about 0.7 s of CPU time per second of audio)."""
    listening_tracks: int = option(4, role="manner", least=0)
    """The listening page embeds this number of the worst tracks."""
    precision: Precision = option("auto", later=True)
    """The models multiply in float32 or bf16; auto means bf16 where the hardware has it."""
    device: Device = option("auto", role="resource")
    """The models run here; auto means GPUs if the cluster has any now. Say gpu where they come on demand."""

    @property
    def asks_priors(self) -> bool:
        """Whether a way of inference climbs the priors' density."""
        return bool({"refine", "langevin"} & set(self.methods))

    def idle(self) -> dict[str, str]:
        """Returns the options of ways of inference that are not asked for."""
        unused = [m for m in ("langevin", "refine") if m not in self.methods]
        found = {m: f"add --methods amortized {m}, or leave it out" for m in unused}
        if not self.asks_priors:
            found["priors"] = "no method asks the priors; add --methods amortized refine, or leave it out"
        return {"fresh": "every evaluation starts anew", **found}


EVALUATE = {
    "toy": EvaluateConfig(),
    "smoke": EvaluateConfig(preset="smoke", max_tracks=64, listening_tracks=2),
    "music": EvaluateConfig(preset="music", dataset=MUSDB18Config()),
}
