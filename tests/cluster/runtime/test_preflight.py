"""The two-node cluster lives in a process of its own: it must not become the other tests' cluster."""

import http.server
import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vsep_ray.cluster.runtime import nodes
from vsep_ray.cluster.runtime.preflight import Needs, checks, require
from vsep_ray.config import UserError
from vsep_ray.presets import (
    EVALUATE,
    PREPARE_CROPS,
    QUICKSTART,
    SEPARATE_CATALOG,
    TRAIN_SEPARATOR,
    ResourcesConfig,
)

TWO_NODES = """
import json, sys
import ray
from ray.cluster_utils import Cluster
from vsep_ray.cluster.runtime import preflight
from vsep_ray.cluster.runtime.preflight import Needs
from vsep_ray import storage

folder = sys.argv[1]
cluster = Cluster(initialize_head=True, head_node_args=dict(num_cpus=1, include_dashboard=False))
second = cluster.add_node(num_cpus=1)
ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
second_id = next(n["NodeID"] for n in ray.nodes() if n["NodeID"] != ray.get_runtime_context().get_node_id())

def seen(uri):  # both nodes share this machine's disk, so the second one is made blind
    return ray.get_runtime_context().get_node_id() != second_id

def table(tracking_uri, **more):
    return {c.name: [c.status, c.detail] for c in preflight.checks(Needs(tracking_uri, (folder,), **more))}

shared = table("sqlite:////x/mlflow.db", cpus=9, waits=False)
storage.exists = seen
separate = table("http://127.0.0.1:9")
print(json.dumps([shared, separate]))
ray.shutdown()
cluster.shutdown()
"""


def needs(folder, tracking_uri="", **more):
    return Needs(tracking_uri or f"sqlite:///{folder}/mlflow.db", (str(folder),), **more)


def status(table):
    return {c.name: c.status for c in table}


@pytest.mark.ray
def test_one_node_passes(ray_session, tmp_path):
    table = require(needs(tmp_path, ffmpeg=True, inputs={"crops": (str(tmp_path),), "priors": ("a1b2",)}))
    names = ["ray", "resources", "packages", "storage", "tracking", "ffmpeg", "inputs"]
    assert status(table) == dict.fromkeys(names, "ok")
    assert list(tmp_path.iterdir()) == []
    words = {c.name: c.detail for c in table}
    assert f"Ray {ray_session.__version__}" in words["ray"] and "no authentication" in words["ray"]
    assert (
        words["inputs"] == f"crops {tmp_path}, priors a1b2"
        and f"torch {torch.__version__}" in words["packages"]
    )


@pytest.mark.ray
def test_a_folder_that_is_not_there_yet_is_not_made(ray_session, tmp_path):
    assert status(require(needs(tmp_path / "later" / "below", f"sqlite:///{tmp_path}/x")))["storage"] == "ok"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.ray
def test_a_storage_that_cannot_be_written_is_refused(ray_session, tmp_path):
    with pytest.raises(UserError, match="--storage"):
        require(needs("/proc/below"))


@pytest.mark.ray
def test_more_than_a_local_cluster_has_is_refused(ray_session, tmp_path):
    """It would wait for ever; a job that can start with less is warned."""
    with pytest.raises(UserError, match=r"9 CPU asked of 4.*--resources.num-workers"):
        require(needs(tmp_path, cpus=9, waits=False))
    assert status(require(needs(tmp_path, cpus=9)))["resources"] == "warning"
    with pytest.raises(UserError, match=r"2 GPU asked of 0; pass --device cpu or auto"):
        require(needs(tmp_path, gpus=2))


@pytest.mark.ray
def test_models_that_are_not_there_are_refused(ray_session, tmp_path):
    (tmp_path / "a.wav").touch()
    here = {"catalog": (f"{tmp_path}/*.wav", f"{tmp_path}/[ab].wav"), "model": (str(tmp_path), "runs:/0/x")}
    assert status(require(needs(tmp_path, inputs=here)))["inputs"] == "ok"
    with pytest.raises(UserError, match=r"models:/x@y was not found"):
        require(needs(tmp_path, inputs={"start": ("models:/x@y",)}))


def test_a_node_that_sees_nothing_of_a_folder_is_blind_to_it(ray_session):
    for mistake in (PermissionError, UserError):  # no credentials; no such bucket from there

        def fails(uri, mistake=mistake):
            raise mistake(uri)

        assert nodes.look({"s3://x": "s3://x/probe"}, fails).blind == ("s3://x",)


@pytest.mark.ray
def test_missing_programs_and_packages_are_named(ray_session, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"ffmpeg: no ffmpeg and ffprobe on .*apt-get install"):
        require(needs(tmp_path, ffmpeg=True))
    here = nodes.installed()
    for package in ("torch", "av"):
        assert here[package] != nodes.ABSENT
        monkeypatch.setattr(nodes, "installed", lambda p=package: here | {p: nodes.ABSENT})
        with pytest.raises(UserError, match=f"packages: no {package} on"):
            require(needs(tmp_path))
    monkeypatch.setattr(nodes, "installed", lambda: here | {"torch": "1.0"})
    assert status(require(needs(tmp_path)))["packages"] == "warning"


@pytest.mark.ray
def test_a_silent_tracking_server_is_a_warning(ray_session, tmp_path):
    assert status(require(needs(tmp_path, "http://127.0.0.1:9")))["tracking"] == "warning"


def test_what_a_job_needs_is_read_from_its_config(tmp_path):
    assert not Needs.of(replace(PREPARE_CROPS["music"], storage="/s")).ffmpeg
    assert Needs.of(replace(EVALUATE["smoke"], storage="/s", bsseval=True)).ffmpeg
    catalog = replace(SEPARATE_CATALOG["smoke"], storage="/s", output="stems", catalog="/music", num_actors=3)
    found = Needs.of(replace(catalog, device="gpu"))
    assert found.folders == ("/s", str(Path("stems").absolute())) and found.waits
    assert (found.cpus, found.gpus, found.inputs) == (3, 3, {"catalog": ("/music",)})
    training = replace(
        TRAIN_SEPARATOR["smoke"], resources=ResourcesConfig(num_workers=4, cpus_per_worker=0.5)
    )
    assert Needs.of(training).cpus == 2 and not Needs.of(training).waits
    elastic = replace(training, resources=replace(training.resources, min_workers=2))
    assert Needs.of(elastic).cpus == 1
    assert Needs.of(replace(QUICKSTART["smoke"], storage="/s")).inputs == {}


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
        assert status(checks(needs(tmp_path, f"http://127.0.0.1:{server.server_port}")))["tracking"] == "ok"
        server.shutdown()


@pytest.mark.ray
def test_two_nodes_need_shared_storage_and_a_tracking_server(tmp_path):
    command = [sys.executable, "-c", TWO_NODES, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    shared, separate = json.loads(done.stdout.splitlines()[-1])
    assert shared["storage"][0] == "ok" and "2 node(s)" in shared["storage"][1]
    assert shared["tracking"][0] == "failed" and "mlflow server" in shared["tracking"][1]
    assert shared["resources"][0] == "warning" and "9 CPU asked of 2" in shared["resources"][1]
    assert shared["ray"][0] == "warning" and "RAY_AUTH_MODE=token" in shared["ray"][1]
    assert shared["packages"][0] == "ok"
    assert separate["storage"][0] == "failed" and "1 of 2 nodes" in separate["storage"][1]
    assert "s3://" in separate["storage"][1]
    assert separate["tracking"][0] == "warning"
