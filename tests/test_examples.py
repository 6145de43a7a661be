"""What the READMEs show to be copied: each example keeps its room's contract, and is one file and one name.

An example stands in a README below the heading "... of your own": the path of its file, the file, and the
change of the union, hunk by hunk.
"""

import dataclasses
import os
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path
from typing import NamedTuple

import contracts
import pytest
import torch

from vsep_ray.config import short_name

ROOT = Path(__file__).parent.parent
COPIED = ("jobs", "tests", "vsep_ray")
MINUTES = 40  # on a machine that does much else; alone none takes five


class Room(NamedTuple):
    """Where an example is chosen, and the tests of the union that it joins."""

    job: str
    flag: str
    tests: str
    members: dict


ROOMS = {
    "priors": Room("train_priors", "--prior", "priors/test_prior.py", contracts.PRIORS),
    "datasets": Room("prepare_crops", "--dataset", "datasets/test_registry.py", contracts.DATASETS),
    "objectives": Room(
        "train_separator", "--self-training", "objectives/test_objectives.py", contracts.SELF_TRAINING
    ),
    "separators": Room(
        "train_separator", "--separator.backbone", "separators/test_backbones.py", contracts.BACKBONES
    ),
}


class Example(NamedTuple):
    """A file, its content, the file of the union, and the hunks of its change: old text, new text."""

    path: str
    code: str
    union: str
    hunks: list[tuple[str, str]]


def example_of(room):
    page = (ROOT / "vsep_ray" / room / "README.md").read_text().partition(" of your own\n")[2]
    code, diff = (re.findall(rf"^```{kind}\n(.*?)^```", page, re.S | re.M)[0] for kind in ("python", "diff"))
    union, _, changes = diff.removeprefix("--- ").partition("\n")
    hunks = [(_side(hunk, "+"), _side(hunk, "-")) for hunk in changes.split("@@\n")]
    return Example(re.findall(rf"`(vsep_ray/{room}/\w+\.py)`", page)[0], code, union, hunks)


def _side(hunk, sign):
    """A hunk without the lines of this sign."""
    return "".join(line[1:] for line in hunk.splitlines(keepends=True) if line[0] != sign)


def changed(example):
    """The text of the union's file with the example's name in it."""
    text = (ROOT / example.union).read_text()
    for old, new in example.hunks:
        assert text.count(old) == 1, f"{example.union} has no such lines:\n{old}"
        text = text.replace(old, new)
    return text


def config_of(room):
    """The config class that an example defines."""
    example = example_of(room)
    module = types.ModuleType(example.path.removesuffix(".py").replace("/", "."))
    exec(compile(example.code, example.path, "exec"), module.__dict__)
    own = (c for c in vars(module).values() if getattr(c, "__module__", "") == module.__name__)
    (config,) = filter(dataclasses.is_dataclass, own)
    return config


def named(checks):
    return pytest.mark.parametrize("check", checks, ids=lambda c: c.__name__)


@pytest.mark.parametrize("channels", [1, 2], ids=["mono", "stereo"])
@named(contracts.PRIOR_CHECKS)
def test_the_prior_that_is_shown_keeps_the_contract(check, channels):
    torch.manual_seed(0)
    check(config_of("priors")().build(8_000, channels))


def test_the_prior_that_is_shown_is_the_normal_law(float64):
    prior = config_of("priors")().build(8_000, 1)
    x, sigma = torch.randn(3, 1, 50), torch.tensor([0.1, 0.5, 1.0])
    std = (prior.log_std.exp() ** 2 + sigma**2).sqrt()[:, None, None].expand_as(x)
    expected = torch.distributions.Normal(0.0, std).log_prob(x).sum((1, 2))
    torch.testing.assert_close(prior.log_prob(x, sigma), expected)


@named(contracts.DATASET_CHECKS + contracts.FILES_CHECKS)
def test_the_data_set_that_is_shown_keeps_the_contract(check, tmp_path):
    check(contracts.make(config_of("datasets"), tmp_path))


def test_the_data_set_that_is_shown_adds_up_files_and_refuses_two_mixtures(tmp_path):
    dataset = contracts.make(config_of("datasets"), tmp_path)
    root = tmp_path / "root"
    for name in ("song__drums.flac", "a__b__bass.wav", "notes.txt", "loose.wav"):
        shutil.copy(root / "song__bass.wav", root / name)
    songs = {t.id: {s.source: len(s.uris) for s in t.stems} for t in dataset.find()}
    assert songs == {"a__b": {"bass": 1}, "song": {"bass": 1, "drums": 2}}
    shutil.copy(root / "song__bass.wav", root / "song__mixture.flac")
    with pytest.raises(ValueError, match="keep one"):
        dataset.find()


@named(contracts.SELF_TRAINING_CHECKS)
def test_the_self_training_that_is_shown_keeps_the_contract(check):
    check(config_of("objectives")())


def test_the_self_training_that_is_shown_hears_the_end_only():
    """Without Sleep, and as if all were heard: -log q of its own mean."""
    config = config_of("objectives")(unheard=0.0)
    objective, separator, _ = contracts.build_objective(config)
    q = separator(contracts.batch()["mixture"])
    expected = -q.log_prob(q.mean).mean() / q.mean[0].numel()
    torch.testing.assert_close(objective.other(contracts.batch(), 0)["loss"], expected)
    later, _, _ = contracts.build_objective(dataclasses.replace(config, unheard=0.5))
    assert later.other(contracts.batch(), 0)["loss"] != expected


@pytest.mark.parametrize("channels", [1, 2], ids=["mono", "stereo"])
@named(contracts.BACKBONE_CHECKS)
def test_the_backbone_that_is_shown_keeps_the_contract(check, channels):
    torch.manual_seed(0)
    check(config_of("separators")(), channels)


@pytest.mark.parametrize("room", ROOMS)
def test_the_change_of_a_union_is_an_import_and_a_name(room):
    example, name = example_of(room), config_of(room).__name__
    before, after = (ROOT / example.union).read_text(), changed(example)
    assert len(after.splitlines()) == len(before.splitlines()) + 1
    assert (before.count(name), after.count(name)) == (0, 2)
    assert not (ROOT / example.path).exists() and max(map(len, after.splitlines())) <= 110


def copied(folder):
    """The tree that a newcomer would change."""
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def called(folder, *words):
    """What a command prints in the copy, which must end well."""
    # its own package first, wherever this one is installed
    env = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *words]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60 * MINUTES)
    assert done.returncode == 0, f"{words}\n{done.stdout[-4_000:]}\n{done.stderr[-4_000:]}"
    return done.stdout


def differing(folder):
    """The files of the copy that are not those of this tree."""
    files = (p for name in COPIED for p in (folder / name).rglob("*") if p.is_file())
    pairs = ((p, ROOT / p.relative_to(folder)) for p in files)
    return {
        str(p.relative_to(folder))
        for p, mine in pairs
        if not mine.exists() or mine.read_bytes() != p.read_bytes()
    }


@pytest.mark.slow
@pytest.mark.parametrize("room", ROOMS)
def test_an_example_is_one_file_and_one_name(room, tmp_path):
    """In a copy of the tree, the command line shows it and the tests of its union take it."""
    example, (job, flag, tests, members) = example_of(room), ROOMS[room]
    name, folder = short_name(config_of(room)), copied(tmp_path)
    (folder / example.path).write_text(example.code)
    (folder / example.union).write_text(changed(example))
    called(folder, "-m", "ruff", "check", "--no-cache", example.path, example.union)
    called(folder, "-m", "ruff", "format", "--check", "--no-cache", example.path, example.union)
    assert re.search(rf"{flag} {{[^}}]*\b{name}\b", called(folder, f"jobs/{job}.py", flag, name, "--help"))
    others = " or ".join(f"[{member}- or [{member}]" for member in members)
    words = ("-rp", "-p", "no:cacheprovider", "-k", f"not ({others})", "tests/test_config.py")
    report = called(folder, "-m", "pytest", *words, f"tests/{tests}")
    passed = re.findall(rf"^PASSED \S+\[.*\b{name}\b", report, re.M)
    assert len(passed) >= 4
    assert differing(folder) == {example.path, example.union}
