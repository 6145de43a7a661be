"""A cluster of three Ray nodes on this machine, one of which can be lost, and jobs on it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
from mlflow_server import free_port
from ray.cluster_utils import Cluster

ROOT = Path(__file__).parent.parent
QUICK_DEATH = {
    "health_check_initial_delay_ms": 1_000,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 1_000,
    "health_check_failure_threshold": 4,
}
"""Ray finds a node dead after seconds; by default it takes tens of them."""


class ThreeNodes:
    """A head without CPUs, as in cluster.yaml, and two workers; a context manager."""

    def __init__(self, cpus=2):
        self.cpus = cpus

    def __enter__(self):
        head = {"num_cpus": 0, "object_store_memory": 300_000_000}
        head |= {"include_dashboard": True, "dashboard_port": free_port()}
        self.cluster = Cluster(initialize_head=True, head_node_args={**head, "_system_config": QUICK_DEATH})
        self.workers = [self.add() for _ in range(2)]
        return self

    def __exit__(self, *_):
        self.cluster.shutdown()

    def add(self):
        """One more worker."""
        return self.cluster.add_node(num_cpus=self.cpus, object_store_memory=300_000_000)

    def mend(self):
        """As many workers as before."""
        self.workers += [self.add() for _ in range(2 - len(self.workers))]

    def lose(self, actor):
        """Kill the worker that has most actors of a class; how many it had."""
        count = {node: len(processes(node, f"ray::{actor}")) for node in self.workers}
        busiest = max(count, key=count.get)
        self.cluster.remove_node(busiest, allow_graceful=False)
        self.workers.remove(busiest)
        return count[busiest]


def processes(node, title):
    """The processes of a node whose title begins so."""
    raylet = node.all_processes["raylet"][0].process.pid
    family = psutil.Process(raylet).children(recursive=True)
    return [p for p in family if p.is_running() and " ".join(p.cmdline()).startswith(title)]


class Job:
    """A job script as a driver of a cluster, with its own log."""

    def __init__(self, cluster, log, script, *flags):
        command = [sys.executable, str(ROOT / "jobs" / script), *map(str, flags)]
        environment = {**os.environ, "RAY_ADDRESS": cluster.cluster.address}
        self.log = Path(log)
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self.log.open("wb"), text=True, env=environment
        )

    def wait_until(self, holds, seconds=180):
        """Until something holds; the job must not end before."""
        for _ in range(seconds * 5):
            if holds():
                return
            assert self.process.poll() is None, f"over too early: {self.process.stdout.read()[-500:]}"
            time.sleep(0.2)
        raise TimeoutError(self.log.read_text()[-2000:])

    def end(self, seconds=600):
        """The figures of the JSON line; it must have exit code 0."""
        out, _ = self.process.communicate(timeout=seconds)
        assert self.process.returncode == 0, out[-1000:] + self.log.read_text()[-3000:]
        return json.loads(out.splitlines()[-1])
