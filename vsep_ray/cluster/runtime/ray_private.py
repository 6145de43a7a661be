"""Ray's private names are used here and nowhere else; the tests say what breaks when Ray changes one."""

import time
from typing import Any

REST_SECONDS = 0.5


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
