"""What a cluster has room for. One that grows on demand has no workers at first: jobs then ask for what their
flags say, and for one CPU or GPU at least."""

import ray

from vsep_ray.presets import Device, ResourcesConfig

SPARE_CPUS = 0.02
"""How much less than its share of logical CPUs a training worker asks Ray for: on a full node, however many
workers it has, there must be room to read, or they wait for data for ever."""
READ_CPUS = 0.01
"""Logical CPUs of a task that reads crops."""
TRIAL_CPUS = 0.001
"""Logical CPUs of the process that follows a trial of a sweep."""


def cpus() -> int:
    """Logical CPUs of all nodes; at least 1."""
    return max(1, int(ray.cluster_resources().get("CPU", 0)))


def gpus(device: Device) -> int:
    """GPUs of all nodes that may be used; at least 1 where the device must be one, 0 where it must not."""
    found = int(ray.cluster_resources().get("GPU", 0))
    return {"cpu": 0, "auto": found, "gpu": max(1, found)}[device]


def slots(device: Device, cpus_each: float = 1.0, wanted: int = 1) -> int:
    """How many things find room side by side that take ``cpus_each`` CPUs and, where there are GPUs, one of
    these each; all that are ``wanted`` where the cluster has none of these yet, so that it grows for them."""
    if not ray.cluster_resources().get("GPU" if device == "gpu" else "CPU"):
        return wanted
    room = max(1, int(cpus() // cpus_each))
    return min(gpus(device) or room, room)


def workers(resources: ResourcesConfig, wanted: int = 1) -> int:
    """How many training workers find room; see `slots`."""
    return slots(resources.device, resources.cpus_per_worker, wanted)


def of_worker(resources: ResourcesConfig) -> dict[str, float]:
    """What a training worker asks Ray for."""
    gpu = {"GPU": 1.0} if gpus(resources.device) else {}
    return {"CPU": max(0.0, resources.cpus_per_worker - SPARE_CPUS), **gpu}


def side_by_side(resources: ResourcesConfig, wanted: int) -> int:
    """How many training runs find room; all that are ``wanted`` where the cluster has to grow for them."""
    each = resources.num_workers or 1
    return max(1, workers(resources, wanted * each) // each)
