"""What a job asks of a cluster, read from its config before it starts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vsep_ray import storage
from vsep_ray.config import fields_with
from vsep_ray.presets import JobConfig


@dataclass(frozen=True)
class Needs:
    """Beside a Ray cluster.

    Attributes:
        tracking_uri: of MLflow.
        folders: what all nodes must see and write to.
        cpus: logical CPUs, all together, at least.
        gpus: the same of GPUs.
        waits: whether the job can start with less than that and use more as it comes.
        ffmpeg: whether ffmpeg and ffprobe must be on every node.
        inputs: data and models as the config names them: field -> names.
    """

    tracking_uri: str
    folders: tuple[str, ...]
    cpus: float = 1.0
    gpus: int = 0
    waits: bool = True
    ffmpeg: bool = False
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, config: JobConfig) -> "Needs":
        """Of a job with this config."""
        values = vars(config)
        output = values.get("output", "")
        folders = (config.storage, *([storage.absolute(output)] if output else []))
        inputs = {path: found for path, v in fields_with(config, "input").items() if (found := _names(v))}
        return cls(
            config.tracking_uri,
            folders,
            **_size(values),
            ffmpeg=bool(values.get("bsseval")),
            inputs=inputs,
        )


def _size(values: Mapping[str, Any]) -> dict[str, Any]:
    resources = values.get("resources")
    if resources is None:
        actors = values.get("num_actors") or 1
        return {"cpus": actors, "gpus": actors if values.get("device") == "gpu" else 0}
    workers = resources.min_workers or resources.num_workers or 1
    return {
        "cpus": workers * resources.cpus_per_worker,
        "gpus": workers if resources.device == "gpu" else 0,
        "waits": False,
    }


def _names(value: Any) -> tuple[str, ...]:
    """The names in a field: several, one, or none."""
    if isinstance(value, tuple):
        return value
    return (value,) if isinstance(value, str) and value else ()
