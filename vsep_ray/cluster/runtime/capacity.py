"""This module says what a cluster has room for.

A cluster that grows on demand has no workers at first: jobs then ask for what their flags say, and for one
CPU or GPU at least.
"""

from typing import Any

import ray

from vsep_ray.presets import Device, ResourcesConfig

SPARE_CPUS = 0.02
"""A training worker asks Ray for this much less than its share of logical CPUs. On a full node there must be
room to read, or the workers wait for data for ever."""
READ_CPUS = 0.01
"""A task that reads crops takes this number of logical CPUs."""
TRIAL_CPUS = 0.001
"""The process that follows a trial of a sweep takes this number of logical CPUs."""


def cpus() -> int:
    """Returns the number of logical CPUs of all nodes, at least 1."""
    return max(1, int(ray.cluster_resources().get("CPU", 0)))


def gpus(device: Device) -> int:
    """Returns the number of GPUs that may be used: at least 1 for device gpu, 0 for device cpu."""
    found = int(ray.cluster_resources().get("GPU", 0))
    return {"cpu": 0, "auto": found, "gpu": max(1, found)}[device]


def slots(device: Device, cpus_each: float = 1.0, wanted: int = 1) -> int:
    """Returns how many things find room if each takes ``cpus_each`` CPUs and, where there are GPUs, one GPU.

    Where the cluster has no such device yet, all that are ``wanted`` are taken to fit, so that it grows.
    """
    if not ray.cluster_resources().get("GPU" if device == "gpu" else "CPU"):
        return wanted
    room = max(1, int(cpus() // cpus_each))
    return min(gpus(device) or room, room)


def workers(resources: ResourcesConfig, wanted: int = 1) -> int:
    """Returns how many training workers find room, as `slots` counts."""
    return slots(resources.device, resources.cpus_per_worker, wanted)


def of_worker(resources: ResourcesConfig) -> dict[str, float]:
    """Returns what a training worker asks Ray for."""
    cpu = {"CPU": max(0.0, resources.cpus_per_worker - SPARE_CPUS)}
    return {**cpu, "GPU": 1.0} if gpus(resources.device) else cpu


def side_by_side(resources: ResourcesConfig, wanted: int) -> int:
    """Returns how many training runs find room, or all that are ``wanted`` where the cluster has to grow."""
    each = resources.num_workers or 1
    return max(1, workers(resources, wanted * each) // each)


def on_device(function: Any, device: Device, **options: Any) -> Any:
    """Returns a function or class as Ray runs it: on one CPU, and on one GPU where GPUs may be used."""
    return ray.remote(num_cpus=1, num_gpus=min(1, gpus(device)), **options)(function)
