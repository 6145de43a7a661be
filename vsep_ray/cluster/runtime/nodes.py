"""This module asks the nodes of a cluster for packages and programs, and whether they see the folders."""

import importlib.metadata
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from vsep_ray import storage
from vsep_ray.cluster.runtime import capacity
from vsep_ray.config import UserError
from vsep_ray.nn.precision import Precision, resolve
from vsep_ray.presets.job import Device, torch_device

NODE_SECONDS = 120.0
"""A node may take this long to answer."""
PACKAGES = ("vsep_ray", "torch", "pyarrow", "soundfile", "av", "safetensors", "mlflow")
"""Every node must have these packages, in the same version."""
ABSENT = "absent"
T = TypeVar("T")


@dataclass(frozen=True)
class Node:
    """This was found on one node.

    Attributes:
        address: its IP address.
        versions: package -> version, or `ABSENT`.
        blind: the folders whose probe it does not see, or cannot write beside.
        ffmpeg: whether ffmpeg and ffprobe are on its PATH.
    """

    address: str
    versions: dict[str, str]
    blind: tuple[str, ...]
    ffmpeg: bool


def installed() -> dict[str, str]:
    """Returns package -> version, or `ABSENT`."""

    def version(package: str) -> str:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # such as a checkout that is not installed
            return ABSENT

    return {package: version(package) for package in PACKAGES}


def look(probes: Mapping[str, str], exists: Callable[[str], bool]) -> Node:
    """Returns what is found on the node where this runs."""
    return Node(
        ray.util.get_node_ip_address(),
        installed(),
        tuple(folder for folder, probe in probes.items() if not _sees(probe, exists)),
        shutil.which("ffmpeg") is not None and shutil.which("ffprobe") is not None,
    )


def _sees(probe: str, exists: Callable[[str], bool]) -> bool:
    try:
        return exists(probe) and (storage.is_remote(probe) or os.access(Path(probe).parent, os.W_OK))
    except (OSError, UserError):  # such as a node without credentials for the bucket
        return False


def look_everywhere(ids: Sequence[str], probes: Mapping[str, str]) -> tuple[list[Node], list[str]]:
    """Returns what is found on each node, and the addresses of nodes that do not answer or vanish."""
    return _everywhere(ids, look, probes, storage.exists)


def common_precision(device: Device) -> Precision:
    """Returns bf16 where all nodes that may compute multiply it, else float32.

    Where there are GPUs that may be used, the nodes that have one count, else those that have CPUs. Without a
    cluster, as for a plan, this machine counts.
    """
    if not ray.is_initialized():
        return _precision(device)
    kind = "GPU" if capacity.gpus(device) else "CPU"
    ids = [n["NodeID"] for n in ray.nodes() if n["Alive"] and n["Resources"].get(kind)]
    found, _ = _everywhere(ids, _precision, "gpu" if kind == "GPU" else "cpu")
    return "bf16" if set(found) == {"bf16"} else "float32"


def _precision(device: Device) -> Precision:
    return resolve("auto", torch_device(device))


def _everywhere(ids: Sequence[str], function: Callable[..., T], *args: Any) -> tuple[list[T], list[str]]:
    if len(ids) == 1:  # this one: no task, which would take seconds to start a worker
        return [function(*args)], []
    task: Any = ray.remote(num_cpus=0)(function)
    pins = {node: NodeAffinitySchedulingStrategy(node, soft=False) for node in ids}
    asked = {task.options(scheduling_strategy=p).remote(*args): n for n, p in pins.items()}
    answered, silent = ray.wait(list(asked), num_returns=len(asked), timeout=NODE_SECONDS)
    found = []
    for answer in answered:
        try:
            found.append(ray.get(answer))
        except (
            ray.exceptions.NodeDiedError,
            ray.exceptions.WorkerCrashedError,
            ray.exceptions.TaskUnschedulableError,
        ):
            silent.append(answer)
    addresses = {n["NodeID"]: n["NodeManagerAddress"] for n in ray.nodes()}
    return found, [addresses[asked[s]] for s in silent]
