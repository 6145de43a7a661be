"""cluster.yaml holds what Ray's launcher accepts, and opens nothing to the world."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def config():
    return prepare_config(yaml.safe_load((ROOT / "cluster.yaml").read_text()))


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


def test_the_image_has_the_ray_of_the_package(config):
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    bound = next(re.search(r">=([\d.]+)", d)[1] for d in dependencies if d.startswith("ray["))
    assert f":{bound}." in config["docker"]["image"]
