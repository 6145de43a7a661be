"""What every job takes."""

from dataclasses import dataclass, fields
from typing import Literal

import torch

from vsep_ray.config import option

Device = Literal["auto", "cpu", "gpu"]
"""auto: GPUs if the cluster has any at this moment."""


def torch_device(device: Device) -> torch.device:
    """Where a process that Ray gave a GPU, or none, computes."""
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def set_above(job: str, *more: str) -> dict[str, str]:
    """Why the fields of a job inside another one cannot act that the outer job sets (`config.idle`).

    Args:
        job: field that holds the inner job's config.
        more: fields that are set beside those that every job has.
    """
    names = [*(f.name for f in fields(JobConfig)), *more]
    return {f"{job}.{name}": "the job around it sets it for all that it starts" for name in names}


@dataclass(frozen=True)
class JobConfig:
    """What every job takes."""

    preset: str = option("toy", role="manner")
    """Named starting values; the flags beside it change single fields."""
    config: str = option("", role="manner")
    """JSON file of the starting values in place of a preset, such as a sweep's best.json; the flags beside it
    change single fields."""
    storage: str = option("", role="place")
    """Folder or s3://, gs:// URI for crops, checkpoints and tracking; shared by all nodes. Default:
    $VSEP_STORAGE, else ~/.vsep_ray"""
    tracking_uri: str = option("", role="place")
    """MLflow tracking URI. Default: $MLFLOW_TRACKING_URI, else sqlite below the storage."""
    experiment: str = option("", role="place")
    """MLflow experiment. Default: vsep/ and the kind of the job."""
    parent_run: str = option("", role="place")
    """MLflow run below which this one is shown."""
    dry_run: bool = option(False, role="manner")
    """Print the resolved config and the plan, touch nothing."""
    fresh: bool = option(False, role="manner")
    """Start afresh where the same command would resume."""

    def places(self) -> dict[str, str]:
        """Where this job's things lie and are shown, as fields that every other job has too."""
        names = [f.name for f in fields(JobConfig) if f.metadata.get("role") == "place"]
        return {name: getattr(self, name) for name in names}
