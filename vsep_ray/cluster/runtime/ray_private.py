"""Ray's private names are used here and nowhere else; the tests say what breaks when Ray changes one."""

from typing import Any


def running_cluster(address: str | None) -> str | None:
    """Returns the address of the cluster that ``address``, RAY_ADDRESS or this machine names, or None."""
    from ray._private import services

    return services.canonicalize_bootstrap_address(address)  # type: ignore[arg-type]


def is_started_here() -> bool:
    """Returns whether this process started the cluster that it is connected to, which then cannot grow."""
    import ray

    node = ray._private.worker._global_node
    return node is not None and node.head


def seed_of_passes(seed: int) -> Any:
    """Returns a seed for Ray Data under which every pass over a data set has another order.

    A plain number would give every pass the same order.
    """
    from ray.data._internal.random_config import RandomSeedConfig

    return RandomSeedConfig(seed=seed)
