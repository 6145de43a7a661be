"""Jobs join a Ray cluster here, or start one of their own that ends with them."""

import functools
import logging
import os
import socket
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vsep_ray.cluster.runtime import ray_private

log = logging.getLogger(__name__)
TRIES = 3
"""A cluster of a job's own is started this often before the job gives up."""
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_ARENA_MAX": "1",
}
"""In processes that start later, glibc keeps freed memory below 1 GiB (bytes), in one place for all threads.
By default every forward pass gives its activations back to the system and faults them in again, a sixth of
the time of a model on CPU, and every thread keeps memory of its own, some 60 MiB in a worker."""


LONGEST_FOLDER = 36
"""A socket has a path of at most 107 bytes, of which Ray's own part takes 70."""

PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE"}
"""A thread that waits sleeps. By default it spins, and takes the core from the one that it waits for."""

UNHEARD = {"RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0"}
"""No process per training that warns its workers of the end of their node: the loop goes on from its last
checkpoint, warned or not, and each such process imports for seconds."""

PATIENT = {"RAY_idle_worker_killing_time_threshold_ms": "60000", "RAY_raylet_start_wait_time_s": "150"}
"""A cluster that is started with this has time to start on a busy machine, and keeps processes that have
nothing to do for a minute. By default it ends them after a second, if there are more than CPUs; the tasks of
a training's streams then come one by one, each in a fresh process that first imports for seconds."""


def prepare_environment(verbose: bool = False) -> None:
    """Sets defaults for this process and those that it starts, before Ray or MLflow is imported.

    Args:
        verbose: MLflow says what it does.
    """
    mode = "token" if os.environ.get("RAY_AUTH_TOKEN") else "disabled"
    words = {} if verbose else {"MLFLOW_LOGGING_LEVEL": "WARNING"}
    ours = words | {"RAY_AUTH_MODE": mode, "RAY_USAGE_STATS_ENABLED": "0", **PATIENT, **MALLOC, **PASSIVE}
    for variable, value in ours.items():
        os.environ.setdefault(variable, value)


def start_ray(*, verbose: bool = False, **options: Any) -> None:
    """Calls `ray.init` as all jobs do, with further options of it.

    Args:
        verbose: what workers print comes to this process, and what Ray says by itself.
        options: of `ray.init`.
    """
    import ray
    import ray.data
    import torch
    from ray.util.annotations import RayDeprecationWarning

    # two threads of a process beside any other load were ten times slower than one: each product of matrices
    # waits for the thread that has just lost its core; a worker with several CPUs has more, by Ray
    torch.set_num_threads(1)
    server, reach = _server(options.get("address"))
    connect = functools.partial(
        ray.init,
        ignore_reinit_error=True,
        logging_level=logging.WARNING if verbose else logging.ERROR,
        log_to_driver=verbose,
        runtime_env={"env_vars": _worker_environment() | reach},
        # a local cluster ends with the job: MLflow is the page to look at
        **{"include_dashboard": False, **server, **options},
    )
    _patiently(connect, tries=TRIES if server else 1)
    if not verbose:
        ray_private.hear_in_log()
    # jobs log their own progress; Ray Data's bars and plans would bury it
    logging.getLogger("ray.data").setLevel(logging.WARNING if verbose else logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    warnings.filterwarnings("ignore", category=RayDeprecationWarning)


def _patiently(connect: Callable[[], Any], tries: int) -> None:
    """Starts Ray, and where this machine is too busy for it starts it again."""
    import ray

    for left in reversed(range(tries)):
        try:
            connect()
            return
        except (RuntimeError, OSError, TimeoutError) as error:
            ray.shutdown()
            if not left:
                raise
            log.warning("Ray did not start (%s); it is tried again", " ".join(str(error).split()))


def _server(address: str | None) -> tuple[dict[str, Any], dict[str, str]]:
    """Returns options of `ray.init`, and how workers reach the cluster's own API server.

    Ray Train's clean-up asks it whether a training is alive. Left to find it, it may ask another cluster of
    this machine, which knows of no such training: a healthy one then loses its workers' resources.
    """
    import torch

    if "://" in (address or os.environ.get("RAY_ADDRESS", "")):  # Ray Client, which has none of these options
        return {}, {}
    if running := ray_private.running_cluster(address):
        return {}, {"RAY_ADDRESS": running}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Ray counts GPUs that PyTorch cannot use, such as Apple's
    ours = {"dashboard_port": port, "num_gpus": torch.cuda.device_count(), **_short_folder()}
    return ours, {"RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{port}"}


def _short_folder() -> dict[str, str]:
    """Returns an option of `ray.init` where the folder for temporary files is too deep for Ray's sockets."""
    folder = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    return {"_temp_dir": "/tmp/ray"} if len(folder) > LONGEST_FOLDER else {}


def _worker_environment() -> dict[str, str]:
    # the package root: a worker must import vsep_ray also where it is not installed and jobs/ is all that
    # sys.path has
    root = str(Path(__file__).parents[3])
    return {
        "PYTHONPATH": os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH", "")) if p),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "3",
        **{name: os.environ.get(name, value) for name, value in (MALLOC | PASSIVE | UNHEARD).items()},
    }
