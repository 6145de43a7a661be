"""The machine's load among a run's metrics, under the names by which MLflow's page shows them."""

import contextlib
import itertools
import logging
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import psutil

from vsep_ray.tracking.client import IMPORTING
from vsep_ray.tracking.tracker import Tracker

if TYPE_CHECKING:
    from mlflow.system_metrics.metrics.base_metrics_monitor import BaseMetricsMonitor

log = logging.getLogger(__name__)
SECONDS = 10.0


@contextlib.contextmanager
def system_metrics(tracker: Tracker, seconds: float = SECONDS) -> Iterator[None]:
    """Logs CPU, memory, disk, network and GPU of this node every few seconds, as ``system/...``, until the
    block ends.

    MLflow measures, and the tracker's spool keeps it: MLflow's own monitor ends at the first call that its
    server does not answer.
    """
    ended = threading.Event()
    thread = threading.Thread(target=_watch, args=(tracker, ended, seconds), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _watch(tracker: Tracker, ended: threading.Event, seconds: float) -> None:
    psutil.cpu_percent()  # the first call of a thread has nothing to compare with, and says 0
    try:
        if ended.wait(seconds):  # a short run does without, and without the import
            return
        monitors = _monitors()
        for step in itertools.count():
            for monitor in monitors:
                monitor.collect_metrics()
                tracker.metrics({f"system/{k}": v for k, v in monitor.aggregate_metrics().items()}, step)
                monitor.clear_metrics()
            if ended.wait(seconds):
                return
    except Exception:  # whatever a driver raises: a load that is not shown must not end the work
        log.warning("system metrics are not logged", exc_info=True)


def _monitors() -> list["BaseMetricsMonitor"]:
    with IMPORTING:
        from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
        from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
        from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
        from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    found: list[BaseMetricsMonitor] = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
    with contextlib.suppress(ImportError, RuntimeError):  # no pynvml, or no NVIDIA driver
        found.append(GPUMonitor())
    return found
