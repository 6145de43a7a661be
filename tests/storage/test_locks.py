"""A folder lives as long as its process, and no longer than until the next job looks."""

import errno
import subprocess
import sys

from vsep_ray.storage.locks import Staging, locks_work, only_one, remove_abandoned

OWNER = """
import sys
from pathlib import Path
from vsep_ray.storage.locks import Staging, only_one
staging = Staging(Path(sys.argv[1]))
(staging.folder / "half.wav").write_text("x")
with only_one(Path(sys.argv[1], "run.lock")) as first:
    print(first, flush=True)
    sys.stdin.read()
"""


def owner(root):
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "True\n"
    return process


def test_what_a_killed_process_leaves_is_swept_and_no_more(tmp_path):
    mine, process = Staging(tmp_path), owner(tmp_path)
    assert len(list(tmp_path.glob("staging-*/half.wav"))) == 1
    assert remove_abandoned(tmp_path) == 2  # both are in use
    with only_one(tmp_path / "run.lock") as first:
        assert not first
    process.kill()
    process.wait()
    assert remove_abandoned(tmp_path) == 1
    assert list(tmp_path.glob("staging-*/half.wav")) == [] and mine.folder.is_dir()
    with only_one(tmp_path / "run.lock") as first:
        assert first
    mine.close()
    assert list(tmp_path.iterdir()) == []


def test_file_systems_with_and_without_locks(tmp_path, monkeypatch):
    assert locks_work(tmp_path / "new") and list((tmp_path / "new").iterdir()) == []

    def refuse(*args):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    assert not locks_work(tmp_path)
