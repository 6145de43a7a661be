"""A cluster as in cluster.yaml grows from no worker at all for a catalog, and gives all of them back."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from library import make_library

ROOT = Path(__file__).parents[3]
APART = "mkdir -p /tmp/ray; ip link set lo up; mount -t tmpfs t /tmp/ray; mount -t tmpfs t /dev/shm; exec "
"""In namespaces of its own: no other Ray process of this machine is seen, and none is stopped."""


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")
@pytest.mark.parametrize(("device", "actors", "gpus"), [("cpu", 4, 0), ("gpu", 1, 1)])
def test_a_cluster_grows_for_a_catalog_and_shrinks_to_nothing(
    tmp_path, separator_directory, device, actors, gpus
):
    make_library(tmp_path / "music", 40, 0, 20.0)
    command = f"{sys.executable} tests/autoscaling.py jobs/separate_catalog.py --preset smoke"
    command += f" --storage {tmp_path}/storage --catalog {tmp_path}/music --model {separator_directory}"
    command += f" --num-actors {actors} --device {device}"
    apart = ["unshare", "-m", "-p", "-f", "-n", "--mount-proc", "bash", "-c", APART + command]
    done = subprocess.run(apart, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = next(json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"before"'))
    print(found)
    assert (found["code"], found["job"]["separated"], found["job"]["failed"]) == (0, 40, 0)
    assert (found["before"], found["after"]) == (0, 0)
    assert found["most"] >= 1 and found["gpus"] == gpus
