"""One track on one worker, without Ray: rows for everything, the ladder of a machine out of memory."""

import numpy as np
import pytest
import torch

from vsep_ray.audio import io
from vsep_ray.cluster.worker import Task, Worker, WorkerSettings, is_out_of_memory, to_row


@pytest.fixture
def worker(tmp_path, separator_directory):
    options = {"format": "flac", "chunk_seconds": 0.5, "batch_size": 2}
    return Worker(WorkerSettings(separator_directory, "the model", "print", str(tmp_path / "out"), **options))


def separate(worker, *tasks):
    """What the ledger says of the tasks, by track."""
    assert worker(to_row(tasks)) == {"tracks": len(tasks), "fatal": ""}
    return worker.ledger.rows()


def song(tmp_path, **tags):
    audio = np.random.default_rng(0).uniform(-0.3, 0.3, (2, 44_111)).astype(np.float32)
    io.write(tmp_path / "song.wav", audio, 44_100, tags=tags)
    return str(tmp_path / "song.wav"), audio


def test_a_track_becomes_stems_and_a_row(worker, tmp_path):
    uri, audio = song(tmp_path, title="Łąka", comment="live")
    row = separate(worker, Task("live/song.wav", uri, 1))["live/song.wav"]
    assert (row.sample_rate, row.channels, row.samples, row.attempts, row.gain) == (44_100, 2, 44_111, 2, 1)
    assert row.stems == ("live/song/bass.flac", "live/song/other.flac")
    assert row.status == "separated" and not list(worker.ledger.incomplete(worker.ledger.read()))
    stems = [io.read(tmp_path / "out" / name)[0] for name in row.stems]
    assert np.abs(sum(stems) - audio).max() < 2**-21
    tags = io.probe(tmp_path / "out" / row.stems[0]).tags
    assert tags["title"] == "Łąka"
    assert tags["comment"] == "live; bass separated by vsep_ray with the model"


def test_the_same_track_gives_the_same_bytes(worker, tmp_path):
    uri, _ = song(tmp_path)
    found = set()
    for _ in range(2):
        separate(worker, Task("song.wav", uri))
        found.add((tmp_path / "out" / "song" / "bass.flac").read_bytes())
    assert len(found) == 1


def test_a_file_that_vanished_is_a_row(worker, tmp_path):
    row = separate(worker, Task("gone.wav", str(tmp_path / "gone.wav")))["gone.wav"]
    assert (row.status, row.stage, row.message) == ("failed", "read", "No such file or directory")


def fail(worker, error, until=lambda mixture: False):
    separate = worker.model.separate

    def call(mixture):
        if until(mixture):
            return separate(mixture)
        raise error

    object.__setattr__(worker.model, "separate", call)


def test_out_of_memory_makes_batch_and_chunk_smaller_and_is_recorded(worker, tmp_path):
    uri, _ = song(tmp_path)
    fail(
        worker,
        torch.OutOfMemoryError("CUDA out of memory"),
        until=lambda m: m.shape[0] == 1 and m.shape[2] < 3000,
    )
    row = separate(worker, Task("song.wav", uri))["song.wav"]
    assert row.status == "separated"
    assert (row.batch_size, row.chunk_seconds) == (1, 0.25)


@pytest.mark.parametrize(
    ("error", "stage", "message"),
    [
        (MemoryError(), "separate", "out of memory with the smallest batch"),
        (RuntimeError("shape"), "separate", "RuntimeError: shape"),
    ],
)
def test_other_errors_are_rows_and_the_worker_lives(worker, tmp_path, error, stage, message):
    uri, _ = song(tmp_path)
    fail(worker, error)
    row = separate(worker, Task("song.wav", uri))["song.wav"]
    assert (row.status, row.stage) == ("failed", stage)
    assert message in row.message


def test_memory_that_pytorch_cannot_allocate_on_the_cpu_counts_as_out_of_memory():
    try:
        torch.empty(2**60)
    except RuntimeError as error:
        assert is_out_of_memory(error)
