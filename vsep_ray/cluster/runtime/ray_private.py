"""Ray's private names are used here and nowhere else; the tests say what breaks when Ray changes one."""

import logging
import time
from typing import Any

log = logging.getLogger(__name__)
REST_SECONDS = 0.5
OURS = b"vsep"
"""The cluster's store of small values keeps ours under this name, apart from Ray's own."""


def post(key: str, value: bytes) -> None:
    """Puts a small value where every process of the cluster can read it; it ends with the cluster."""
    from ray.experimental import internal_kv

    internal_kv._internal_kv_put(key.encode(), value, overwrite=True, namespace=OURS)


def posted(prefix: str) -> dict[str, bytes]:
    """Returns all values under keys that begin with a prefix."""
    from ray.experimental import internal_kv

    keys = internal_kv._internal_kv_list(prefix.encode(), namespace=OURS)
    found = {key.decode(): internal_kv._internal_kv_get(key, namespace=OURS) for key in keys}
    return {key: value for key, value in found.items() if value is not None}


def take_down(prefix: str) -> None:
    """Removes all values under keys that begin with a prefix."""
    from ray.experimental import internal_kv

    internal_kv._internal_kv_del(prefix.encode(), del_by_prefix=True, namespace=OURS)


def running_cluster(address: str | None) -> str | None:
    """Returns the address of the cluster that ``address``, RAY_ADDRESS or this machine names, or None."""
    from ray._private import services

    return services.canonicalize_bootstrap_address(address)  # type: ignore[arg-type]


def is_started_here() -> bool:
    """Returns whether this process started the cluster that it is connected to, which then cannot grow."""
    import ray

    node = ray._private.worker._global_node
    return node is not None and node.head


def hear_in_log() -> None:
    """Makes what the cluster says of itself to its drivers lines of our log, of level debug, where Ray prints
    them."""
    from ray._private import worker

    def write(said: dict[str, Any], ignore_prefix: bool = False) -> None:
        log.debug("ray: %s", "\n".join(said["lines"]))

    worker.print_to_stdstream = write  # type: ignore[assignment]


def seed_of_passes(seed: int) -> Any:
    """Returns a seed for Ray Data under which every pass over a data set has another order.

    A plain number would give every pass the same order.
    """
    from ray.data._internal.random_config import RandomSeedConfig

    return RandomSeedConfig(seed=seed)


def let_streams_rest() -> None:
    """Makes executions of Ray Data that begin after this pause between the steps of their loops, while
    something lies ready for who reads them.

    Where a training takes its time, a stream's loop waits for nothing: it finds finished tasks whose results
    nobody takes yet, and spins on a third of a core, for every stream.
    """
    from ray.data import DataContext
    from ray.data._internal.execution.execution_callback import ExecutionCallback

    class Rest(ExecutionCallback):
        def on_execution_step(self, executor: Any) -> None:
            if not executor._consumer_idling():
                time.sleep(REST_SECONDS)

    DataContext.get_current().custom_execution_callback_classes = [Rest]
