"""What every job takes."""

from dataclasses import dataclass
from typing import Literal

import torch

Device = Literal["auto", "cpu", "gpu"]
"""auto: GPUs if the cluster has any at this moment."""


def torch_device(device: Device) -> torch.device:
    """Where a process that Ray gave a GPU, or none, computes."""
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


@dataclass(frozen=True)
class JobConfig:
    """What every job takes."""

    preset: str = "toy"
    """Named starting values; the flags beside it change single fields."""
    config: str = ""
    """JSON file of the starting values in place of a preset, such as a sweep's best.json; the flags beside it
    change single fields."""
    storage: str = ""
    """Folder or s3://, gs:// URI for crops, checkpoints and tracking; shared by all nodes. Default:
    $VSEP_STORAGE, else ~/.vsep_ray"""
    tracking_uri: str = ""
    """MLflow tracking URI. Default: $MLFLOW_TRACKING_URI, else sqlite below the storage."""
    experiment: str = ""
    """MLflow experiment. Default: vsep/ and the kind of the job."""
    parent_run: str = ""
    """MLflow run below which this one is shown."""
    dry_run: bool = False
    """Print the resolved config and the plan, touch nothing."""
    fresh: bool = False
    """Start afresh where the same command would resume."""
