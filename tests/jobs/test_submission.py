"""Jobs that are submitted to a cluster with token authentication, a head without CPUs and a storage in a
bucket, nodes that see nothing of each other's disks: the chain of jobs, exit codes, logs, stopping. Needs
root, to hide the disks."""

import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import psutil
import pytest
from mlflow_server import MlflowServer, free_port
from pyarrow import fs

from vsep_ray import storage
from vsep_ray.audio import io
from vsep_ray.tracking.client import client

pytestmark = [
    pytest.mark.slow,
    pytest.mark.ray,
    pytest.mark.skipif(os.geteuid() != 0, reason="mount namespaces need root"),
]
ROOT = Path(__file__).parents[2]
SHORT = ["--fit.steps", "20", "--fit.checkpoint-every", "10", "--fit.log-every", "10"]


class TokenCluster:
    """`ray start` as in cluster.yaml, in the project's root; a context manager."""

    def __init__(self, tracking_uri, storage_uri):
        self.gcs, self.dashboard = free_port(), free_port()
        self.token = secrets.token_hex(32)
        self.environment = {
            **os.environ,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{self.dashboard}",
            "MLFLOW_TRACKING_URI": tracking_uri,
            "VSEP_STORAGE": storage_uri,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        self.nodes, self.folders = [], []

    def __enter__(self):
        self._start(
            "--head", f"--port={self.gcs}", "--num-cpus=0", "--dashboard-host=127.0.0.1",
            f"--dashboard-port={self.dashboard}", f"--ray-client-server-port={free_port()}",
        )  # fmt: skip
        self._start(f"--address=127.0.0.1:{self.gcs}", "--num-cpus=2", hidden=self.folders[0])
        return self

    def _start(self, *flags, hidden=None):
        ports = [f"--dashboard-agent-listen-port={free_port()}", "--min-worker-port=0", "--max-worker-port=0"]
        # each with files of its own, as on other machines: the head's are not there for the worker
        folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")
        self.folders.append(folder)
        ports += [f"--temp-dir={folder}"]
        own = {"HOME": f"{folder}/home", "TMPDIR": f"{folder}/tmp"}
        for path in own.values():
            Path(path).mkdir()
        command = ["ray", "start", "--block", "--object-store-memory=300000000", *ports, *flags]
        if hidden:
            covered = f"mount -t tmpfs none {hidden} && exec {shlex.join(command)}"
            command = ["unshare", "--mount", "sh", "-c", covered]
        node = subprocess.Popen(
            command,
            cwd=ROOT,
            env=self.environment | own,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.nodes.append(node)
        for line in node.stdout:
            if "runtime started" in line:
                return
        raise RuntimeError("ray start failed")

    def __exit__(self, *_):
        family = [p for node in self.nodes for p in psutil.Process(node.pid).children(recursive=True)]
        for node in reversed(self.nodes):
            node.terminate()
            node.wait(60)
        for process in psutil.wait_procs(family, 20)[1]:
            process.kill()
        for folder in self.folders:
            shutil.rmtree(folder)

    def ray(self, *command, **environment):
        """A command of Ray's command line; the finished process."""
        return subprocess.run(
            ["ray", *map(str, command)], cwd=ROOT, env={**self.environment, **environment},
            capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory, s3_server):
    """Tracking URI, and the URI of a bucket with some music."""
    folder = tmp_path_factory.mktemp("place")
    system, _ = fs.FileSystem.from_uri(f"s3://chain{s3_server}&allow_bucket_creation=true")
    system.create_dir("chain")
    root = f"s3://chain{s3_server}"
    for i in range(3):
        audio = 0.1 * np.sin(np.arange(20_000) * 0.1 * (i + 1))[None].astype(np.float32)
        io.write(folder / "a.wav", audio, 8_000)
        storage.upload(folder / "a.wav", storage.join(root, "music", f"{i}.wav"))
    port = free_port()
    with MlflowServer(port, folder):
        yield f"http://127.0.0.1:{port}", root


@pytest.fixture(scope="module")
def cluster(place):
    with TokenCluster(*place) as found:
        yield found


def submit(cluster, *job, **environment):
    return cluster.ray("job", "submit", "--working-dir", ".", "--", "python", *job, **environment)


def test_without_the_token_a_submission_is_refused(cluster):
    assert submit(cluster, "-c", "print('in')").returncode == 0
    for environment in ({"RAY_AUTH_TOKEN": "0" * 64}, {"RAY_AUTH_MODE": "disabled"}):
        refused = submit(cluster, "-c", "print('in')", **environment)
        assert refused.returncode != 0 and "succeeded" not in refused.stdout
        assert "uthentication" in refused.stdout + refused.stderr
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{cluster.environment['RAY_API_SERVER_ADDRESS']}/api/jobs/", timeout=10)


def test_the_chain_of_jobs(cluster, place):
    tracking_uri, root = place
    environment = {**cluster.environment, "VSEP_CATALOG": storage.join(root, "music")}
    done = subprocess.run(
        [ROOT / "tests" / "jobs" / "chain.sh", *SHORT],
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith('{"job"')]
    assert [(line["job"], line["status"]) for line in lines] == [
        (name, "done") for name in ("train_priors", "train_separator", "evaluate", "separate_catalog")
    ]
    priors, separator, scores, catalog = lines
    assert set(separator_priors(tracking_uri, separator["run_id"])) <= set(
        children(tracking_uri, priors["run_id"])
    )
    assert scores["model"] == catalog["model"] == f"runs:/{separator['run_id']}/vsep-separator"
    assert (catalog["separated"], catalog["failed"]) == (3, 0)
    assert catalog["output"].startswith(root.partition("?")[0]) and storage.exists(catalog["ledger"])


def separator_priors(uri, run_id):
    tags = client(uri).get_run(run_id).data.tags
    return [value for name, value in tags.items() if name.startswith("prior_run.")]


def children(uri, run_id):
    api = client(uri)
    experiments = [e.experiment_id for e in api.search_experiments()]
    found = api.search_runs(experiments, f"tags.`mlflow.parentRunId` = '{run_id}'")
    return [run.info.run_id for run in found]


def test_exit_codes_and_logs_of_a_job_are_kept(cluster):
    """By the literal path, since the head was started in the project's root."""
    refused = cluster.ray(
        "job", "submit", "--submission-id", "refused", "--", "jobs/train_priors.py", "--no-such-flag"
    )
    assert refused.returncode == 1
    assert '"status": "refused"' in cluster.ray("job", "logs", "refused").stdout
    code = "from ray.job_submission import JobSubmissionClient as Client; "
    code += "print(Client().get_job_info('refused').driver_exit_code)"
    asked = subprocess.run(
        [sys.executable, "-c", code], env=cluster.environment, capture_output=True, text=True
    )
    assert asked.stdout.split()[-1:] == ["2"], asked.stderr
    planned = cluster.ray("job", "submit", "--", "jobs/train_priors.py", "--preset", "smoke", "--dry-run")
    assert planned.returncode == 0 and '"status": "planned"' in planned.stdout


def is_worker(cmdline):
    return "ray::RayTrainWorker" in " ".join(cmdline or ())  # None: a zombie


def test_a_stopped_job_leaves_nothing_running(cluster, place):
    flags = [
        "--preset",
        "smoke",
        "--sources",
        "sine",
        "--fit.steps",
        "100000",
        "--fit.checkpoint-every",
        "50",
    ]
    cluster.ray("job", "submit", "--no-wait", "--submission-id", "long", "--", "jobs/train_priors.py", *flags)
    deadline = time.monotonic() + 180
    while not re.search(r"prior of sine: steps [1-9]", cluster.ray("job", "logs", "long").stdout):
        assert time.monotonic() < deadline, cluster.ray("job", "logs", "long").stdout[-3000:]
        time.sleep(2)
    cluster.ray("job", "stop", "long")
    assert "was stopped" in cluster.ray("job", "status", "long").stdout
    deadline = time.monotonic() + 60
    while training := [p for p in psutil.process_iter(["cmdline"]) if is_worker(p.info["cmdline"])]:
        assert time.monotonic() < deadline, training
        time.sleep(1)
    api = client(place[0])
    runs = api.search_runs([api.get_experiment_by_name("vsep/priors").experiment_id], max_results=2)
    assert {run.info.status for run in runs} <= {"KILLED", "FAILED", "RUNNING"}
