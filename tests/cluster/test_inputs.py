"""Which separator a job takes where its flags name none, and what it says of that."""

import os
from pathlib import Path

import pytest
import torch

from vsep_ray import checkpoint, pretrained
from vsep_ray.cluster.inputs import find_separator
from vsep_ray.config import UserError
from vsep_ray.separators import Separator, SeparatorConfig, SpectrogramUNetConfig

BACKBONE = SpectrogramUNetConfig(n_fft=64, hop=32, width=4, blocks=1)
MUSIC, WAVES = ("bass", "other"), ("sawtooth", "sine")


@pytest.fixture
def storage(tmp_path):
    """A function that puts a separator into the storage, each newer than the one before."""
    torch.manual_seed(0)
    made = []

    def put(name, sources, **provenance):
        separator = Separator(SeparatorConfig(sources, 8_000, 1, (1.0,) * len(sources), backbone=BACKBONE))
        folder = tmp_path / "storage" / "models" / name
        checkpoint.save(folder, separator, provenance)
        made.append(name)
        os.utime(folder / "provenance.json", (2e9 - len(made), 2e9 - len(made)))  # as a copy may have it
        return str(folder)

    return put


@pytest.fixture
def box(tmp_path, storage):
    """A folder of a bundled model."""
    return pretrained.bundle(storage("../elsewhere", MUSIC), tmp_path / "box")


def found(tmp_path, model="", **options):
    root = str(tmp_path / "storage")
    uri, directory, separator = find_separator(model, root, "sqlite:///none", **options)
    assert checkpoint.load_separator(directory).config == separator.config
    return uri


def test_the_newest_that_did_not_learn_from_toys(tmp_path, storage, box, caplog):
    caplog.set_level("INFO")
    storage("older", MUSIC, dataset="band+sources")
    newest = storage("newer", MUSIC, dataset="sources")
    storage("toys", WAVES, dataset="toy")
    storage("toys among others", (*MUSIC, "sine"), dataset="band+toy")
    storage("toys of an earlier version", WAVES)
    assert found(tmp_path, box=box) == newest
    assert f"model {newest} (8,000 Hz mono: bass, other); the newest of music in" in caplog.text


def test_the_bundled_one_where_there_are_toys_alone(tmp_path, storage, box, caplog):
    caplog.set_level("INFO")
    toys = storage("toys", WAVES, dataset="toy")
    assert found(tmp_path, box=box) == "bundled"
    assert "model bundled (8,000 Hz mono: bass, other); it comes with vsep_ray, and" in caplog.text
    assert found(tmp_path, box=box, toys=True) == toys == found(tmp_path, model=toys, box=box)


def test_the_bundled_one_by_name(tmp_path, storage, box):
    storage("newer", MUSIC, dataset="sources")
    assert found(tmp_path, model="bundled", box=box) == "bundled"


def test_an_older_model_is_judged_by_its_sources(tmp_path, storage, box):
    assert storage("older", MUSIC) == found(tmp_path, box=box)


def test_where_there_is_none_one_sentence_says_so(tmp_path, storage):
    storage("toys", WAVES)
    for options, words in [
        ({}, "no separator of music in .*, only some of toy waves, and no weights are bundled"),
        ({"model": "bundled"}, "no weights are bundled with this copy of vsep_ray"),
    ]:
        with pytest.raises(UserError, match=words):
            found(tmp_path, box=Path(tmp_path, "empty"), **options)
    with pytest.raises(UserError, match="no separator of toy waves in"):
        find_separator("", str(tmp_path / "empty"), "sqlite:///none", toys=True)
