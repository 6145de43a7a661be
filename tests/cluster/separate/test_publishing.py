"""Separated tracks become files at their places and rows; what cannot be written is its track's failure."""

import errno
from concurrent.futures import Future

import numpy as np
import pytest
import torch

from vsep_ray.audio import io
from vsep_ray.audio.formats import AudioError, Failure
from vsep_ray.cluster.separate.publishing import FatalError, Finisher, raise_if_fatal
from vsep_ray.cluster.separate.settings import Assignment, WorkerSettings
from vsep_ray.presets import SeparateCatalogConfig
from vsep_ray.streaming import Chunking, Model, Selection, separate_files

GRID = Chunking(chunk=2000, hop=1500, batch_size=2)
HALVES = Model(lambda m: torch.stack([m / 4, 3 * m / 4], 1), ("bass", "other"), 8000, 1)


@pytest.fixture
def finisher(tmp_path):
    (tmp_path / "staging").mkdir()
    config = SeparateCatalogConfig(sources=("other", "rest"), template="{source}/{path}.{ext}")
    settings = WorkerSettings(config, "", "the model", "print", str(tmp_path / "out"))
    selection = Selection.of(HALVES.sources, config.sources)
    return Finisher(settings, selection, GRID, tmp_path / "staging", False)


@pytest.fixture
def assignment(tmp_path):
    audio = np.random.default_rng(0).uniform(-0.3, 0.3, (1, 5000)).astype(np.float32)
    io.write(tmp_path / "a.wav", audio, 8000)
    return Assignment("live/a.wav", str(tmp_path / "a.wav"))


def separated(finisher, assignment):
    (outcome,) = separate_files([assignment.uri], HALVES, GRID, finisher.selection, "wav", threaded=False)
    return outcome


def done(value):
    future = Future()
    future.set_result(value)
    return future


def staged(tmp_path):
    return list((tmp_path / "staging").iterdir())


def raising(error):
    def call(*args, **kwargs):
        raise error

    return call


def test_stems_are_nobodys_until_they_are_published(finisher, assignment, tmp_path):
    encoded = finisher.encode(assignment, separated(finisher, assignment))
    assert len(staged(tmp_path)) == 1 and not (tmp_path / "out").exists()
    row = finisher.publish(assignment, done(encoded))
    assert not staged(tmp_path) and row.failure is None
    assert row.stems == ("other/live/a.wav", "rest/live/a.wav")
    paths = [tmp_path / "out" / name for name in row.stems]
    assert row.stem_bytes == tuple(path.stat().st_size for path in paths)
    mixture, _ = io.read(assignment.uri)
    np.testing.assert_allclose(io.read(paths[0])[0], 0.75 * mixture, atol=1e-6)
    assert (row.samples, row.sample_rate, row.channels, row.chunk_seconds) == (5000, 8000, 1, 0.25)


def test_what_a_track_failed_with_before_passes_through_to_its_row(finisher, assignment):
    failure = Failure("decode", "damaged")
    assert finisher.encode(assignment, failure) == failure
    row = finisher.publish(assignment, done(failure))
    assert (row.track, row.status, row.failure) == ("live/a.wav", "failed", failure)


@pytest.mark.parametrize("error", [AudioError("encode", "no such rate"), OSError(errno.EIO, "broken")])
def test_a_track_that_cannot_be_encoded_is_a_failure_and_leaves_nothing(
    finisher, assignment, tmp_path, monkeypatch, error
):
    monkeypatch.setattr("vsep_ray.streaming.encode", raising(error))
    failure = finisher.encode(assignment, separated(finisher, assignment))
    assert failure.stage == "encode" and str(error).removeprefix("encode: ") in failure.message
    assert not staged(tmp_path)


def test_a_track_that_cannot_be_published_is_a_failed_row(finisher, assignment, tmp_path, monkeypatch):
    encoded = finisher.encode(assignment, separated(finisher, assignment))
    monkeypatch.setattr("vsep_ray.storage.publish", raising(PermissionError(errno.EACCES, "forbidden")))
    row = finisher.publish(assignment, done(encoded))
    assert row.failure == Failure("encode", "PermissionError: [Errno 13] forbidden")
    assert not staged(tmp_path)


def test_no_track_is_blamed_for_a_full_disk(finisher, assignment, tmp_path, monkeypatch):
    monkeypatch.setattr("vsep_ray.streaming.encode", raising(OSError(errno.ENOSPC, "No space left")))
    with pytest.raises(FatalError, match=r"No space left \(stems go to .*run the same command again"):
        finisher.encode(assignment, separated(finisher, assignment))
    assert not staged(tmp_path)


def test_other_errors_are_not_fatal():
    raise_if_fatal(OSError(errno.EIO, "broken"), "out")
    raise_if_fatal(ValueError("a mistake"), "out")
    with pytest.raises(FatalError):
        raise_if_fatal(FatalError("stop"), "out")
