"""A cluster with cluster.yaml's node types on this machine, their resources faked, grows for a job and
shrinks after it. In namespaces of its own, since Ray's test cluster stops every Ray process that it sees.

    python tests/autoscaling.py JOB FLAGS...
"""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import ray
import yaml
from ray.cluster_utils import AutoscalingCluster

ROOT = Path(__file__).parent.parent
RESOURCES = {"cpu": {"CPU": 2, "object_store_memory": 10**8}, "gpu": {"CPU": 2, "GPU": 1}}
"""What the real node types have is found from their instance types."""
IDLE_MINUTES = 0.15
COMMANDS = ("initialization", "setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")
EMPTY = {
    **{name: {} for name in ("auth", "docker", "file_mounts")},
    **{name: [] for name in ("cluster_synced_files", "rsync_exclude", "rsync_filter")},
    **{f"{kind}_commands": [] for kind in COMMANDS},
    "file_mounts_sync_continuously": False,
}


class Cluster(AutoscalingCluster):
    """Ray's own, whose base config is missing from the wheel."""

    def _generate_config(self, head_resources, worker_node_types, **_):
        found = yaml.safe_load((ROOT / "cluster.yaml").read_text())
        head = {"resources": head_resources, "node_config": {}, "max_workers": 0}
        provider = {"type": "fake_multinode", "use_node_id_as_ip": True}
        provider |= {"disable_node_updaters": True, "disable_launch_config_check": True}
        return {
            **EMPTY, "cluster_name": "fake", "max_workers": found["max_workers"], "upscaling_speed": 1.0,
            "idle_timeout_minutes": IDLE_MINUTES, "provider": provider,
            "available_node_types": {**worker_node_types, "ray.head.default": head},
            "head_node_type": "ray.head.default",
        }  # fmt: skip


def node_types():
    """The workers of cluster.yaml: name -> limits as they are, faked resources."""
    found = yaml.safe_load((ROOT / "cluster.yaml").read_text())["available_node_types"]
    return {
        name: {"min_workers": found[name]["min_workers"], "max_workers": found[name]["max_workers"]}
        | {"resources": resources, "node_config": {}}
        for name, resources in RESOURCES.items()
    }


def workers():
    """Resources of the living nodes beside the head."""
    return [
        n["Resources"] for n in ray.nodes() if n["Alive"] and "node:__internal_head__" not in n["Resources"]
    ]


def main():
    cluster = Cluster({"CPU": 0, "object_store_memory": 3 * 10**8}, node_types())
    cluster.start()
    ray.init("auto", log_to_driver=False)
    most, over = [], threading.Event()

    def watch():
        while not over.wait(0.2):
            most[:] = max(most, workers(), key=len)

    watcher = threading.Thread(target=watch)
    watcher.start()
    before = len(workers())
    command = [sys.executable, *sys.argv[1:]]
    job = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "RAY_ADDRESS": "auto"}
    )
    deadline = time.monotonic() + 120
    while workers() and time.monotonic() < deadline:
        time.sleep(0.5)
    over.set()
    watcher.join()
    gpus = sum(n.get("GPU", 0) for n in most)
    figures = {"before": before, "most": len(most), "gpus": gpus, "after": len(workers())}
    print(json.dumps({**figures, "job": json.loads(job.stdout.splitlines()[-1]), "code": job.returncode}))
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main()
