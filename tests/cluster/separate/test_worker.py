"""One track on one worker, without Ray: rows for everything, the ladder of a machine out of memory."""

import dataclasses
import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from ledgers import rows_of

from vsep_ray.audio import io
from vsep_ray.chunking import places_are_equal
from vsep_ray.cluster.separate.settings import Assignment, WorkerSettings
from vsep_ray.cluster.separate.worker import Worker
from vsep_ray.methods import LangevinConfig, RefineConfig
from vsep_ray.presets import SeparateCatalogConfig


@pytest.fixture
def worker(tmp_path, separator_directory):
    config = SeparateCatalogConfig(format="flac", chunk_seconds=0.5, batch_size=2)
    return Worker(WorkerSettings(config, separator_directory, "the model", "print", str(tmp_path / "out")))


def changed(settings, **options):
    """The settings with other options of the job."""
    return dataclasses.replace(settings, config=dataclasses.replace(settings.config, **options))


def separate(worker, *assignments):
    """What the ledger says of the assignments, by track."""
    assert worker.separate(assignments) is None
    rows = rows_of(worker.ledger)
    assert rows.keys() >= {assignment.track for assignment in assignments}
    return rows


def song(tmp_path, **tags):
    audio = np.random.default_rng(0).uniform(-0.3, 0.3, (2, 44_111)).astype(np.float32)
    io.write(tmp_path / "song.wav", audio, 44_100, tags=tags)
    return str(tmp_path / "song.wav"), audio


def test_a_track_becomes_stems_and_a_row(worker, tmp_path):
    uri, audio = song(tmp_path, title="Łąka", comment="live")
    row = separate(worker, Assignment("live/song.wav", uri, 1))["live/song.wav"]
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
        separate(worker, Assignment("song.wav", uri))
        found.add((tmp_path / "out" / "song" / "bass.flac").read_bytes())
    assert len(found) == 1


def test_stems_keep_the_ending_where_another_track_has_the_same_name(worker, tmp_path):
    uri, _ = song(tmp_path)
    row = separate(worker, Assignment("live/song.wav", uri, whole=True))["live/song.wav"]
    assert row.stems == ("live/song.wav/bass.flac", "live/song.wav/other.flac")
    assert not list(worker.ledger.incomplete(worker.ledger.read()))


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_the_row_says_in_which_precision_the_stems_were_made(worker, tmp_path, precision):
    uri, audio = song(tmp_path)
    worker = Worker(changed(worker.settings, precision=precision))
    row = separate(worker, Assignment("song.wav", uri))["song.wav"]
    assert row.precision == precision
    assert np.abs(sum(io.read(tmp_path / "out" / name)[0] for name in row.stems) - audio).max() < 2**-21


@pytest.mark.parametrize("method", [RefineConfig(steps=2), LangevinConfig(steps=1, samples=1)])
def test_methods_that_ask_priors_make_the_same_bytes_of_a_track_in_any_group(
    worker, tmp_path, priors_directory, method
):
    priors = {source: str(Path(priors_directory, source)) for source in ("bass", "other")}
    settings = dataclasses.replace(changed(worker.settings, method=method, shifts=2), priors=priors)
    both, found = songs(tmp_path, 2), []
    for group in (both, both[1:]):
        separate(Worker(settings), *group)
        found.append(stems(worker)["1/bass.flac"])
    assert found[0] == found[1]
    separate(worker, both[1])
    assert stems(worker)["1/bass.flac"] != found[0]


def test_a_file_that_vanished_is_a_row(worker, tmp_path):
    row = separate(worker, Assignment("gone.wav", str(tmp_path / "gone.wav")))["gone.wav"]
    assert (row.status, row.stage, row.message) == ("failed", "read", "No such file or directory")


def songs(tmp_path, num):
    """Tasks of tracks between half a chunk and several chunks long."""
    assignments = []
    for i in range(num):
        audio = np.random.default_rng(i).uniform(-0.3, 0.3, (1, 3_000 + 2_500 * i)).astype(np.float32)
        io.write(tmp_path / f"{i}.wav", audio, 8000)
        assignments.append(Assignment(f"{i}.wav", str(tmp_path / f"{i}.wav")))
    return assignments


def stems(worker):
    rows = rows_of(worker.ledger).values()
    return {name: Path(worker.settings.output, name).read_bytes() for row in rows for name in row.stems}


def pointwise(mixture):
    return torch.stack([mixture.tanh(), mixture - mixture.tanh()], 1)


def dependent(mixture):
    """Results that differ by a rounding error from place to place in a batch, as vectorised kernels' may."""
    return pointwise(mixture) * (1 + 1e-6 * torch.arange(len(mixture))[:, None, None, None])


@pytest.mark.parametrize("separate_chunk", [pointwise, dependent])
def test_a_group_gives_the_same_stems_as_its_tracks_one_by_one(worker, tmp_path, separate_chunk):
    object.__setattr__(worker.model, "separate", separate_chunk)
    worker.span = places_are_equal(separate_chunk, 1, worker.grid.chunk, worker.grid.batch_size)
    assert worker.span == (separate_chunk is pointwise)
    assignments = songs(tmp_path, 5)
    assignments.insert(2, Assignment("gone.wav", str(tmp_path / "gone.wav")))
    rows = separate(worker, *assignments)
    assert {t: row.status for t, row in rows.items() if row.status == "failed"} == {"gone.wav": "failed"}
    together = stems(worker)
    for assignment in assignments:
        separate(worker, assignment)
    assert stems(worker) == together and len(together) == 10
    assert all(row.wall_seconds > 0 and row.run == "" for row in rows.values())


def test_one_track_that_the_model_cannot_take_does_not_take_its_group_along(worker, tmp_path):
    assignments = songs(tmp_path, 4)
    separate(worker, *assignments)
    expected = stems(worker)
    poison = torch.from_numpy(io.read(tmp_path / "2.wav")[0])[0, :100]
    raised = RuntimeError("shape")
    fail(worker, raised, until=lambda m: not any(torch.equal(x[0, :100], poison) for x in m))
    rows = separate(worker, *assignments)
    assert [rows[t.track].status for t in assignments] == ["separated", "separated", "failed", "separated"]
    assert (rows["2.wav"].stage, rows["2.wav"].message) == ("separate", "RuntimeError: shape")
    assert {n: b for n, b in stems(worker).items() if not n.startswith("2/")} == {
        n: b for n, b in expected.items() if not n.startswith("2/")
    }


def test_some_stems_and_their_confidence(worker, tmp_path):
    (assignment,) = songs(tmp_path, 1)
    settings = changed(worker.settings, sources=("bass", "rest"), samples=3)
    rows = [separate(Worker(settings), assignment)[assignment.track] for _ in range(2)]
    assert rows[0].stems == ("0/bass.flac", "0/rest.flac")
    assert rows[0].confidence_db == rows[1].confidence_db  # the draws are seeded
    assert rows[0].lowest_confidence_db == min(rows[0].confidence_db)
    # two sources that sum to the mixture have the same variance
    powers = [np.mean(io.read(tmp_path / "out" / name)[0] ** 2) for name in rows[0].stems]
    ratio = 10 * np.log10(powers[0] / powers[1])
    assert rows[0].confidence_db[0] - rows[0].confidence_db[1] == pytest.approx(ratio, abs=0.1)


def test_many_equal_failures_stop_the_job_inside_a_group(worker, tmp_path):
    worker.settings = changed(worker.settings, max_alike=3)
    fatal = worker.separate([Assignment(f"{i}.wav", str(tmp_path / f"gone {i}.wav")) for i in range(9)])
    assert "3 tracks in a row failed alike" in fatal and len(rows_of(worker.ledger)) == 3
    assert len(rows_of(worker.ledger)) == 3


def test_a_row_does_not_wait_for_the_next_track(worker, tmp_path, monkeypatch):
    monkeypatch.setattr("vsep_ray.catalog.ledger.COMMIT_SECONDS", 0.01)
    separate_chunk, seen = worker.model.separate, threading.Event()

    def wait_for_the_first_row(mixture):
        if mixture.abs().max() > 0.5:
            seen.wait(20)
        return separate_chunk(mixture)

    object.__setattr__(worker.model, "separate", wait_for_the_first_row)
    worker.span = False  # else the first track's one chunk would wait for a batch to fill
    loud = Assignment("loud.wav", str(tmp_path / "loud.wav"))
    io.write(loud.uri, np.full((1, 40_000), 0.9, np.float32), 8000)
    job = threading.Thread(target=worker.separate, args=([*songs(tmp_path, 1), loud],))
    job.start()
    deadline = time.monotonic() + 15
    while not worker.ledger.parts() and time.monotonic() < deadline:
        time.sleep(0.02)
    first = set(rows_of(worker.ledger))
    seen.set()
    job.join()
    assert first == {"0.wav"} and set(rows_of(worker.ledger)) == {"0.wav", "loud.wav"}


def fill_disk(monkeypatch, where):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(where, full)


@pytest.mark.parametrize("where", ["streaming.stream.Scratch.append", "streaming.encode", "storage.publish"])
def test_a_full_disk_fails_no_track_but_stops_the_job(worker, tmp_path, monkeypatch, where):
    assignments = songs(tmp_path, 3)
    with monkeypatch.context() as patched:
        fill_disk(patched, f"vsep_ray.{where}")
        fatal = worker.separate(assignments)
    assert "No space left on device" in fatal and not rows_of(worker.ledger)
    assert rows_of(worker.ledger) == {}
    assert len(separate(worker, *assignments)) == 3  # the same worker goes on when there is room again


def test_a_ledger_that_cannot_be_written_stops_the_job(worker, tmp_path, monkeypatch):
    fill_disk(monkeypatch, "vsep_ray.storage.write_bytes")
    assert "cannot write to the ledger" in worker.separate(songs(tmp_path, 1))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts file systems")
def test_a_disk_that_is_really_full_is_said_so_by_the_writer(tmp_path):
    """libsndfile says "System error" only; on a real small file system the words are the system's."""
    code = f"""
import subprocess, numpy as np
from vsep_ray.audio import io
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", {str(tmp_path)!r}], check=True)
try:
    io.write({str(tmp_path / "x.wav")!r}, np.ones((2, 300_000), np.float32), 8000)
except OSError as error:
    print(error.strerror)
"""
    command = ["unshare", "--mount", "--propagation", "private", sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True)
    if "mount" in done.stderr or "unshare" in done.stderr:
        pytest.skip("no file system can be mounted here")
    assert done.stdout.strip() == "No space left on device", done.stderr


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
    row = separate(worker, Assignment("song.wav", uri))["song.wav"]
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
    row = separate(worker, Assignment("song.wav", uri))["song.wav"]
    assert (row.status, row.stage) == ("failed", stage)
    assert message in row.message
