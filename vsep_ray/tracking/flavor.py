"""The ``MLmodel`` file that lets MLflow load a checkpoint directory as a pyfunc."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from vsep_ray.tracking.client import IMPORTING

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

LOADER = "vsep_ray.pyfunc"


def mlmodel(directory: Path, name: str) -> str:
    """Returns the text of the file: the loader, and the shapes of what goes in and out.

    Raises:
        OSError: the directory is no checkpoint.
    """
    kind = json.loads((directory / "config.json").read_text())["kind"]
    with IMPORTING:
        from mlflow import pyfunc
        from mlflow.models import Model

        model = Model(artifact_path=name, signature=_signature(kind))
        pyfunc.add_to_model(model, loader_module=LOADER)
        return model.to_yaml()


def _signature(kind: str) -> "ModelSignature":
    """Returns the shapes of a separator, (C, T) -> (K, C, T), or of a prior, (B, C, T) -> (B,)."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ParamSchema, ParamSpec, Schema, TensorSpec

    def floats(dimensions: int) -> Schema:
        return Schema([TensorSpec(np.dtype(np.float32), (-1,) * dimensions)])

    if kind == "separator":
        rate = ParamSchema([ParamSpec("sample_rate", "long", 0)])
        return ModelSignature(floats(2), floats(3), rate)
    return ModelSignature(floats(3), floats(1), ParamSchema([ParamSpec("noise_std", "double", 0.0)]))
