"""This module asks the nodes of a cluster for packages and programs, and whether they see the folders."""

import importlib.metadata
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from vsep_ray import storage
from vsep_ray.config import UserError

NODE_SECONDS = 120.0
"""A node may take this long to answer."""
PACKAGES = ("vsep_ray", "torch", "pyarrow", "soundfile", "av", "safetensors", "mlflow")
"""Every node must have these packages, in the same version."""
ABSENT = "absent"


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
    if len(ids) == 1:  # this one: no task, which would take seconds to start a worker
        return [look(probes, storage.exists)], []
    task: Any = ray.remote(num_cpus=0)(look)
    pins = {node: NodeAffinitySchedulingStrategy(node, soft=False) for node in ids}
    asked = {task.options(scheduling_strategy=p).remote(probes, storage.exists): n for n, p in pins.items()}
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
