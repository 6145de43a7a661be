"""cluster.yaml and jobs/rayjob.yaml hold what Ray's launcher and KubeRay accept, and open nothing."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def config():
    return prepare_config(yaml.safe_load((ROOT / "cluster.yaml").read_text()))


@pytest.fixture(scope="module")
def job():
    return yaml.safe_load((ROOT / "jobs" / "rayjob.yaml").read_text())


def test_the_launcher_accepts_it(config):
    validate_config(config)
    assert set(config["available_node_types"]) == {"head", "cpu", "gpu"}
    assert config["available_node_types"]["head"]["max_workers"] == 0


def test_nothing_listens_to_the_world(config):
    commands = " ".join(config["head_start_ray_commands"] + config["worker_start_ray_commands"])
    assert "0.0.0.0" not in commands and "--dashboard-host=127.0.0.1" in commands
    assert commands.count("RAY_AUTH_MODE=token") == 2
    for kind in config["available_node_types"].values():
        assert kind["node_config"]["SecurityGroupIds"], "without one Ray's launcher admits SSH from anywhere"
        assert kind["node_config"]["IamInstanceProfile"], "without one workers cannot use the bucket"


def test_workers_may_be_lost_and_the_head_may_not(config):
    kinds = config["available_node_types"]
    spot = {n for n, kind in kinds.items() if "InstanceMarketOptions" in kind["node_config"]}
    assert spot == {"cpu", "gpu"} and {kinds[n]["min_workers"] for n in spot} == {0}
    assert kinds["head"]["resources"]["CPU"] == 0


def ray_version():
    return next(re.search(r">=([\d.]+)", d)[1] for d in PROJECT["dependencies"] if d.startswith("ray["))


def extras(text):
    return {name for found in re.findall(r"vsep_ray\[([\w,]+)\]", text) for name in found.split(",")}


def test_images_and_extras_are_those_of_the_package(config, job):
    assert f":{ray_version()}." in config["docker"]["image"]
    assert job["spec"]["rayClusterSpec"]["rayVersion"].startswith(f"{ray_version()}.")
    for name in ("cluster.yaml", "jobs/rayjob.yaml"):
        text = (ROOT / name).read_text()
        assert extras(text) <= PROJECT["optional-dependencies"].keys()
        assert f"rayproject/ray:{ray_version()}." in text


def test_the_manifest_starts_the_job_and_grows_from_nothing(job):
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    spec = job["spec"]["rayClusterSpec"]
    assert spec["authOptions"] == {"mode": "token"} and spec["enableInTreeAutoscaling"]
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert {g["minReplicas"] for g in spec["workerGroupSpecs"]} == {0}
    script = re.search(r"/home/ray/vsep_ray/(jobs/\w+\.py)", job["spec"]["entrypoint"])[1]
    assert (ROOT / script).exists()


def test_the_entry_point_is_understood(job, monkeypatch):
    from vsep_ray.command_line import parse
    from vsep_ray.presets import SEPARATE_CATALOG, SeparateCatalogConfig

    flags = job["spec"]["entrypoint"].split()[2:]
    found = parse(SeparateCatalogConfig, flags, SEPARATE_CATALOG, "")
    assert (found.device, found.catalog) == ("gpu", "s3://YOUR-BUCKET/music")
