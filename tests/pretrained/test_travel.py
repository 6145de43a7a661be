"""The model in the box travels: a wheel has its files, and so has what `ray job submit` uploads."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("README.md", "config.json", "model.safetensors", "provenance.json")
FILES = {f"vsep_ray/pretrained/{name}" for name in NAMES}


@pytest.fixture
def tree(tmp_path):
    """A copy of the package with files of a model in it, and with models elsewhere."""
    tree = tmp_path / "tree"
    shutil.copytree(ROOT / "vsep_ray", tree / "vsep_ray", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", ".rayignore", ".gitignore"):
        shutil.copy(ROOT / name, tree)
    (tree / "models").mkdir()
    for name in {*FILES, "models/model.safetensors"}:
        (tree / name).write_text("here")
    return tree


def test_a_wheel_has_the_model(tree):
    pytest.importorskip("setuptools", "77")
    build = "import setuptools.build_meta as backend; print(backend.build_wheel('dist'))"
    done = subprocess.run([sys.executable, "-c", build], cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = (tree / "dist").glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert names >= FILES and "vsep_ray/pretrained/__main__.py" in names


def test_a_submitted_job_has_the_model_and_no_other(tree, tmp_path):
    from ray._private.runtime_env.packaging import create_package

    create_package(str(tree), tmp_path / "upload.zip", include_gitignore=True)
    names = set(zipfile.ZipFile(tmp_path / "upload.zip").namelist())
    assert names >= FILES and "vsep_ray/separation.py" in names
    assert "models/model.safetensors" not in names
