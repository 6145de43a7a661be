"""A node of three is lost in the middle of each kind of job: it ends well, and with the same result."""

from pathlib import Path

import pytest
import torch
from ledgers import rows_of
from library import contents, make_library
from mlflow_server import MlflowServer, free_port
from nodes import Job, ThreeNodes

from vsep_ray import checkpoint
from vsep_ray.catalog.ledger import Ledger
from vsep_ray.separators import Separator, SeparatorConfig, SpectrogramUNetConfig

pytestmark = [pytest.mark.slow, pytest.mark.ray]
STEPS = 200


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    port = free_port()
    with MlflowServer(port, tmp_path_factory.mktemp("server")):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def cluster():
    with ThreeNodes() as nodes:
        yield nodes


@pytest.fixture
def start(cluster, server, tmp_path):
    """A function that starts a job with a storage of its own."""

    def run(name, script, *flags):
        common = ["--preset", "smoke", "--storage", tmp_path / name, "--tracking-uri", server]
        return Job(cluster, tmp_path / f"{name}.log", script, *common, *flags)

    return run


def fit(prefix, steps=STEPS):
    return [f"--{prefix}.steps", steps, f"--{prefix}.log-every", 10, f"--{prefix}.checkpoint-every", 40]


def checkpoints(storage, kind):
    """Finished checkpoints of the runs whose names begin so."""
    return list(Path(storage, "runs").glob(f"{kind}*/checkpoint_*/model.safetensors"))


def disturbed_and_calm(cluster, start, tmp_path, kind, *command):
    """The figures of a job that lost a node after its second checkpoint, and those of one that did not."""
    job = start("disturbed", *command)
    job.wait_until(lambda: len(checkpoints(tmp_path / "disturbed", kind)) >= 2)
    assert cluster.lose("RayTrainWorker") > 0
    disturbed = job.end()
    cluster.mend()
    return disturbed, start("calm", *command).end()


def test_training_of_priors(cluster, start, tmp_path):
    flags = ["--sources", "sine", "square", *fit("fit")]
    disturbed, calm = disturbed_and_calm(cluster, start, tmp_path, "train_priors", "train_priors.py", *flags)
    assert disturbed["steps"] == calm["steps"] == {"sine": STEPS, "square": STEPS}
    assert disturbed["bits_per_sample"] == pytest.approx(calm["bits_per_sample"], abs=0.05)


def test_training_of_a_separator(cluster, start, tmp_path):
    flags = ["--regime", "B", *fit("fit", 400)]
    disturbed, calm = disturbed_and_calm(
        cluster, start, tmp_path, "train_separator", "train_separator.py", *flags
    )
    assert disturbed["steps"] == calm["steps"] == 400
    assert disturbed["si_sdr_db"] == pytest.approx(calm["si_sdr_db"], abs=0.1)


def test_elastic_training_goes_on_with_fewer_workers(cluster, start, tmp_path):
    """Four workers, of which one node holds two: two go on, and with the same result."""
    flags = ["--regime", "B", *fit("fit", 400), "--resources.num-workers", 4, "--resources.min-workers", 1]
    disturbed, calm = disturbed_and_calm(
        cluster, start, tmp_path, "train_separator", "train_separator.py", *flags
    )
    assert disturbed["steps"] == calm["steps"] == 400
    assert disturbed["si_sdr_db"] == pytest.approx(calm["si_sdr_db"], abs=0.1)


def test_a_sweep(cluster, start, tmp_path):
    flags = ["--betas", 1, 10, "--depths", 1, "--seeds", 0, "--reduction", 1, *fit("separator.fit")]
    disturbed, calm = disturbed_and_calm(cluster, start, tmp_path, "trial", "tune.py", *flags)
    for one, other in zip(disturbed["rows"], calm["rows"], strict=True):
        assert (one["point"], one["status"], one["step"]) == (other["point"], "finished", STEPS)
        metric = disturbed["selected_by"]
        assert one[metric] == pytest.approx(other[metric], abs=0.02)


def test_separation_of_a_catalog(cluster, start, tmp_path):
    torch.manual_seed(0)
    backbone = SpectrogramUNetConfig(n_fft=64, hop=32, width=4, blocks=1)
    config = SeparatorConfig(("bass", "other"), 8000, 1, (1.0, 1.0), backbone=backbone)
    checkpoint.save(tmp_path / "model", Separator(config), {})
    tracks = make_library(tmp_path / "music", 120, 12, 20.0)
    flags = ["--catalog", tmp_path / "music", "--model", tmp_path / "model", "--max-failed", 1]

    def run(name):
        return start(name, "separate_catalog.py", *flags, "--output", tmp_path / f"{name}-stems")

    job = run("disturbed")
    job.wait_until(lambda: len(rows_of(Ledger(f"{tmp_path}/disturbed-stems"))) > 20)
    assert cluster.lose("Worker") > 0
    disturbed = job.end()
    cluster.mend()
    calm = run("calm").end()
    assert disturbed["separated"] == calm["separated"] == len(tracks) - 12 and disturbed["failed"] == 12
    assert contents(tmp_path / "disturbed-stems") == contents(tmp_path / "calm-stems")
