"""evaluate.py: its config and presets."""

from dataclasses import dataclass
from typing import Literal

from vsep_ray.presets.job import Dataset, JobConfig


@dataclass(frozen=True)
class EvaluateConfig(JobConfig):
    """Score a separator on tracks with known stems, against mixture and oracle."""

    model: str = ""
    """Checkpoint directory, runs:/... or models:/name@alias. Default: the latest separator in the storage."""
    dataset: Dataset | Literal["crops"] = "crops"
    """Where the references come from; crops: split test of a crop store."""
    root: str = ""
    """Folder of the data set, or the crop store. Default: the latest crop store in the storage."""
    map: tuple[str, ...] = ()
    """SOURCE=GLOB pairs as in prepare_crops.py."""
    max_tracks: int = 256
    """Score at most this many tracks."""
    bsseval: bool = False
    """Also BSS Eval v4 by museval (SIR, ISR, SAR; about 0.7 s of CPU time per second of audio)."""
    listening_tracks: int = 4
    """Worst tracks that the listening page embeds."""


EVALUATE = {
    "toy": EvaluateConfig(),
    "smoke": EvaluateConfig(preset="smoke", max_tracks=64, listening_tracks=2),
    "music": EvaluateConfig(preset="music", dataset="musdb18"),
}
