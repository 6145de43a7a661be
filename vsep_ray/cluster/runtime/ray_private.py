"""All that is used of Ray's private names, in one place; its tests say what breaks when Ray changes one."""

from typing import Any


def running_cluster(address: str | None) -> str | None:
    """The address of the cluster that ``address``, RAY_ADDRESS or this machine names; None: there is none."""
    from ray._private import services

    return services.canonicalize_bootstrap_address(address)  # type: ignore[arg-type]


def is_started_here() -> bool:
    """Whether this process started the cluster that it is connected to, which then cannot grow."""
    import ray

    node = ray._private.worker._global_node
    return node is not None and node.head


def seed_of_passes(seed: int) -> Any:
    """A seed for Ray Data's orders under which every pass over a data set has another order.

    A plain number would give every pass the same one.
    """
    from ray.data._internal.random_config import RandomSeedConfig

    return RandomSeedConfig(seed=seed)
