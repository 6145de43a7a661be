"""Every job takes some common fields."""

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import torch

from vsep_ray.config import option

Device = Literal["auto", "cpu", "gpu"]
"""auto means GPUs if the cluster has any at this moment."""


def torch_device(device: Device) -> torch.device:
    """Returns where a process that Ray gave a GPU, or none, computes."""
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def storage_root(named: str = "") -> str:
    """Returns the absolute path, or the URI, of the storage that is named, else of $VSEP_STORAGE, else of
    ~/.vsep_ray."""
    root = (named or os.environ.get("VSEP_STORAGE") or "~/.vsep_ray").removeprefix("file://")
    return root if "://" in root else str(Path(root).expanduser().resolve())


def set_above(job: str, *more: str) -> dict[str, str]:
    """Returns why fields of a job inside another cannot act, since the outer job sets them (`config.idle`).

    Args:
        job: the field that holds the inner job's config.
        more: fields that are set beside the common ones.
    """
    why = "the job around it sets it for all that it starts"
    return {f"{job}.{name}": why for name in (*(f.name for f in fields(JobConfig)), *more)}


@dataclass(frozen=True)
class JobConfig:
    """Every job takes these fields."""

    preset: str = option("toy", role="manner")
    """A preset has starting values; the flags beside it change single fields."""
    config: str = option("", role="manner")
    """This JSON file has the starting values in place of a preset, such as a sweep's best.json; the flags
    beside it change single fields."""
    storage: str = option("", role="place")
    """Crops, checkpoints and tracking lie in this folder or s3://, gs:// URI, which all nodes share. Default:
    $VSEP_STORAGE, else ~/.vsep_ray"""
    tracking_uri: str = option("", role="place")
    """MLflow tracks runs at this URI. Default: $MLFLOW_TRACKING_URI, else sqlite below the storage."""
    experiment: str = option("", role="place")
    """The run is in this MLflow experiment. Default: vsep/ and the kind of the job."""
    parent_run: str = option("", role="place")
    """The run is shown below this MLflow run."""
    dry_run: bool = option(False, role="manner")
    """The job prints the resolved config and the plan, and touches nothing."""
    fresh: bool = option(False, role="manner")
    """The job starts afresh where the same command would resume."""
    verbose: bool = option(False, role="manner")
    """The log has also what Ray, its workers and MLflow say, and where each line comes from."""

    def places(self) -> dict[str, str]:
        """Returns where this job's things lie and are shown, as fields that every other job has too."""
        return {f.name: getattr(self, f.name) for f in fields(JobConfig) if f.metadata.get("role") == "place"}
