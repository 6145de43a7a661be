"""The two-node cluster lives in a process of its own: it must not become the other tests' cluster."""

import http.server
import json
import subprocess
import sys
import threading

import pytest

from vsep_ray.cluster.preflight import checks, require
from vsep_ray.config import UserError

TWO_NODES = """
import json, sys
import ray
from ray.cluster_utils import Cluster
from vsep_ray.cluster import preflight
from vsep_ray.data import storage

folder = sys.argv[1]
cluster = Cluster(initialize_head=True, head_node_args=dict(num_cpus=1, include_dashboard=False))
second = cluster.add_node(num_cpus=1)
ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
second_id = next(n["NodeID"] for n in ray.nodes() if n["NodeID"] != ray.get_runtime_context().get_node_id())

def seen(uri):  # both nodes share this machine's disk, so the second one is made blind
    return ray.get_runtime_context().get_node_id() != second_id

shared = preflight.checks(folder, "sqlite:////x/mlflow.db")
storage.exists = seen
separate = preflight.checks(folder, "http://127.0.0.1:9")
print(json.dumps([[c.status, c.detail] for c in shared + separate]))
ray.shutdown()
cluster.shutdown()
"""


@pytest.mark.ray
def test_one_node_passes(ray_session, tmp_path):
    table = require(str(tmp_path), f"sqlite:///{tmp_path}/mlflow.db", ffmpeg=True)
    assert [(c.name, c.status) for c in table] == [("storage", "ok"), ("tracking", "ok"), ("ffmpeg", "ok")]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.ray
def test_a_storage_that_cannot_be_written_is_refused(ray_session, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="--storage"):
        require(str(tmp_path / "file" / "below"), f"sqlite:///{tmp_path}/mlflow.db")


@pytest.mark.ray
def test_a_silent_tracking_server_is_a_warning(ray_session, tmp_path):
    assert require(str(tmp_path), "http://127.0.0.1:9")[1].status == "warning"


@pytest.mark.ray
def test_a_tracking_server_that_answers_passes(ray_session, tmp_path):
    class Health(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Health) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert checks(str(tmp_path), f"http://127.0.0.1:{server.server_port}")[1].status == "ok"
        server.shutdown()


@pytest.mark.ray
def test_two_nodes_need_shared_storage_and_a_tracking_server(tmp_path):
    command = [sys.executable, "-c", TWO_NODES, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    shared, sqlite, separate, server = json.loads(done.stdout.splitlines()[-1])
    assert shared[0] == "ok" and "2 node(s)" in shared[1]
    assert sqlite[0] == "failed" and "mlflow server" in sqlite[1]
    assert separate[0] == "failed" and "1 of 2 nodes" in separate[1] and "s3://" in separate[1]
    assert server[0] == "warning"
