"""Whole catalogs under Ray: bad files, resuming, crashes, collisions; plans."""

import dataclasses
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import soundfile
from ledgers import rows_of

from vsep_ray import storage
from vsep_ray.audio import io
from vsep_ray.catalog.ledger import Ledger, LedgerRow
from vsep_ray.cluster.separate.job import _alone, _void, plan, run
from vsep_ray.cluster.separate.plan import prepare
from vsep_ray.cluster.separate.worker import Worker
from vsep_ray.config import UserError
from vsep_ray.presets import SEPARATE_CATALOG
from vsep_ray.tracking.client import client

GOOD = {"a.wav": (44_100, 2), "live/b.flac": (8000, 1), "live/c d é.ogg": (22_050, 2)}


def bad_files(folder):
    noise = np.random.default_rng(1).uniform(-0.1, 0.1, (8000, 2))
    soundfile.write(folder / "damaged.flac", noise, 8000)
    (folder / "damaged.flac").write_bytes((folder / "damaged.flac").read_bytes()[:9000])
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("not sound")
    noise[4000] = np.nan
    soundfile.write(folder / "nan.wav", noise, 8000, subtype="FLOAT")
    (folder / "cover.txt").write_text("ignored")


@pytest.fixture
def config(tmp_path, separator_directory, tracking_uri):
    rng = np.random.default_rng(0)
    for name, (rate, channels) in GOOD.items():
        path = tmp_path / "music" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        audio = rng.uniform(-0.3, 0.3, (channels, rate + 7)).astype(np.float32)
        io.write(path, audio, rate, format=path.suffix[1:])
    return dataclasses.replace(
        SEPARATE_CATALOG["smoke"],
        storage=str(tmp_path / "storage"),
        tracking_uri=tracking_uri,
        catalog=str(tmp_path / "music"),
        model=separator_directory,
        output=str(tmp_path / "stems"),
        num_actors=2,
    )


def outputs(folder):
    paths = [p for p in folder.rglob("*") if p.is_file() and "_ledger" not in p.parts]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in paths}


def check_record(config, figures):
    """A run in MLflow: tables, a page to listen to, the way to its model; the ledger names the run."""
    api = client(config.tracking_uri)
    found = api.get_run(figures["run_id"])
    assert found.info.status == "FAILED" and found.data.metrics["failed"] == 4
    tags = found.data.tags
    assert (tags["model_uri"], tags["model_regime"]) == (config.model, "B")
    assert config.model in tags["mlflow.note.content"]
    assert [d.dataset.source for d in found.inputs.dataset_inputs] == [json.dumps({"uri": config.catalog})]
    assert {f.path for f in api.list_artifacts(figures["run_id"])} == {
        "config.json", "failed.csv", "listen.html", "summary.json", "tracks.csv",
    }  # fmt: skip
    local = api.download_artifacts(figures["run_id"], "listen.html")
    page = Path(local).read_text()
    assert Path(figures["report"]).read_text() == page
    assert page.count("<audio") == 3 * 3 and "not finite" in page and "c d é.ogg" in page
    runs = {row.run for row in rows_of(Ledger(config.output)).values()}
    assert {run.partition("+")[0] for run in runs} == {figures["run_id"]}


@pytest.mark.ray
def test_bad_files_are_rows_and_the_same_command_separates_nothing_twice(ray_session, config, tmp_path):
    bad_files(tmp_path / "music")
    figures = run(config)
    assert figures["status"] == "failed"  # 4 of 7 is more than one in twenty
    assert [figures[n] for n in ("tracks", "separated", "skipped", "failed")] == [7, 3, 0, 4]
    assert figures["audio_seconds"] == pytest.approx(3, abs=0.01)
    rows = rows_of(Ledger(config.output))
    failed = {track: row.stage for track, row in rows.items() if row.status == "failed"}
    assert failed == dict.fromkeys(["damaged.flac", "empty.wav", "nan.wav", "text.wav"], "decode")
    for name, (rate, _) in GOOD.items():
        mixture, _ = io.read(tmp_path / "music" / name)
        stems = [io.read(tmp_path / "stems" / stem) for stem in rows[name].stems]
        assert all(r == rate for _, r in stems)
        assert np.abs(sum(audio for audio, _ in stems) - mixture).max() < 1e-6

    check_record(config, figures)

    first = outputs(tmp_path / "stems")
    assert len(first) == 6
    again = run(dataclasses.replace(config, max_failed=0.6))
    assert [again[n] for n in ("status", "tracks", "separated", "skipped", "failed")] == ["done", 7, 0, 3, 4]
    assert again["realtime_factor"] == 0

    (tmp_path / "stems" / "a" / "bass.wav").unlink()
    (tmp_path / "stems" / "live" / "b" / "other.wav").write_bytes(b"half")
    io.write(tmp_path / "music" / "text.wav", np.zeros((1, 100), np.float32), 8000)
    again = run(dataclasses.replace(config, retry_failed=True))
    assert [again[n] for n in ("separated", "skipped", "failed")] == [3, 1, 3]
    assert {name: data for name, data in outputs(tmp_path / "stems").items() if name in first} == first
    assert rows_of(Ledger(config.output))["nan.wav"].attempts == 2


@pytest.mark.ray
def test_a_track_that_kills_its_process_is_one_failed_row(ray_session, config, monkeypatch):
    class Poisoned(Worker):
        def separate(self, assignments):
            if any(assignment.track == "live/b.flac" for assignment in assignments):
                os.kill(os.getpid(), signal.SIGKILL)
            return super().separate(assignments)

    monkeypatch.setattr(
        "vsep_ray.cluster.separate.job.GROUPS", (2, 1)
    )  # a group of its size dies with it at first
    figures = run(dataclasses.replace(config, max_failed=0.5, num_actors=1), Poisoned)
    assert [figures[n] for n in ("status", "separated", "failed")] == ["done", 2, 1]
    row = rows_of(Ledger(config.output))["live/b.flac"]
    assert (row.status, row.stage, row.attempts) == ("failed", "crash", 1)
    assert run(config)["failed"] == 1  # not tried for ever


def test_rows_of_replaced_stems_vouch_for_nothing(config, tmp_path):
    ledger = Ledger(config.output)
    stems = {"stems": ("a/bass.wav",), "stem_bytes": (4,)}
    ledger.append([LedgerRow("a.wav", "separated", "another model", **stems)])
    (tmp_path / "stems" / "a").mkdir()
    (tmp_path / "stems" / "a" / "bass.wav").write_bytes(b"1234")
    work = prepare(config)
    assert len(work.todo) == 3
    _void(work)
    row = rows_of(ledger)["a.wav"]
    assert (row.status, row.stage, row.fingerprint) == ("failed", "replaced", "")
    assert len(prepare(config).todo) == 3, "neither model takes it for done, or for failed for good"


@pytest.mark.ray
def test_equal_failures_in_a_row_stop_the_job(ray_session, config, tmp_path):
    for i in range(40):
        (tmp_path / "music" / f"{i:02d}.wav").write_text("not sound")
    figures = run(dataclasses.replace(config, max_alike=3, listening_tracks=0))
    assert figures["status"] == "failed" and "tracks in a row failed alike (decode: " in figures["error"]
    assert 3 <= figures["failed"] < 40 and figures["undone"] > 0
    assert figures["failed"] + figures["undone"] + figures["separated"] == 43
    again = run(dataclasses.replace(config, max_failed=1.0, listening_tracks=0))
    assert (again["status"], again["failed"], again["undone"]) == ("done", 40, 0)


@pytest.mark.ray
def test_buckets_in_and_out_with_the_tracking_server_away(ray_session, config, tmp_path, bucket, caplog):
    for path in (tmp_path / "music").rglob("*.*"):
        name = path.relative_to(tmp_path / "music").as_posix()
        storage.upload(path, storage.join(bucket, "in", name))
    away = dataclasses.replace(
        config, catalog=storage.join(bucket, "in"), output=storage.join(bucket, "out"),
        tracking_uri="http://127.0.0.1:9", sources=("bass", "rest"),
    )  # fmt: skip
    figures = run(away)
    assert (figures["status"], figures["separated"]) == ("done", 3)
    assert "not all of this run was sent" in caplog.text
    rows = rows_of(Ledger(away.output))
    for name in GOOD:
        mixture, _ = io.read(tmp_path / "music" / name)
        stems = [io.read(storage.join(away.output, stem))[0] for stem in rows[name].stems]
        assert rows[name].stems[1].endswith("/rest.wav") and np.abs(sum(stems) - mixture).max() < 1e-6
    storage.delete(storage.join(away.output, "a/rest.wav"))
    assert plan(away)["todo"] == 1
    globbed = dataclasses.replace(away, catalog=storage.join(bucket, "in", "**/*.[fo]*"))
    assert plan(globbed)["tracks"] == 2
    with pytest.raises(UserError, match="lies in the catalog"):
        plan(dataclasses.replace(away, output=storage.join(bucket, "in", "stems")))


def test_two_runs_into_one_folder_are_refused(config, tmp_path):
    with _alone(config.output), pytest.raises(UserError, match="another run separates into"):
        run(config)


def test_a_plan_counts_and_touches_nothing(config, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    figures = plan(config)
    assert sorted(tmp_path.rglob("*")) == before
    assert (figures["tracks"], figures["todo"], figures["actor_hours"]) == (3, 3, None)
    assert figures["audio_hours"] == pytest.approx(3 / 3600, abs=1e-3)
    assert figures["unwritable"] == 0
    assert plan(dataclasses.replace(config, format="opus"))["unwritable"] == 2  # 44.1 and 22.05 kHz
    assert figures["output_bytes"] == pytest.approx(2 * 4 * (2 * 44_100 + 8000 + 2 * 22_050), rel=0.01)
    json.dumps(figures)


@pytest.mark.parametrize(("glob", "stems", "inside"), [
    ("music/**/*.wav", "music/stems", True), ("music/*.wav", "music/stems", False),
    ("music", "music2", False), ("music/", "music", True), ("music/a.wav", "music", False),
])  # fmt: skip
def test_an_output_that_the_catalog_would_read_is_refused(config, tmp_path, glob, stems, inside):
    there = dataclasses.replace(config, catalog=f"{tmp_path}/{glob}", output=str(tmp_path / stems))
    if inside:
        with pytest.raises(UserError, match="lies in the catalog"):
            plan(there)
    else:
        assert plan(there)["todo"] > 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"catalog": ""}, "--catalog is missing"),
        ({"catalog": "nowhere"}, "not there"),
        ({"model": "nowhere"}, "no directory"),
        ({"overlap": 0.6}, "overlap"),
        ({"format": "flac", "subtype": "float"}, "flac has no subtype"),
        ({"template": "{path}.{ext}"}, "template"),
        ({"output": "music/stems"}, "lies in the catalog"),
        ({"template": "../{path}{source}.{ext}"}, "outside the output folder"),
        ({"template": "{path}/" + "x" * 250 + "{source}.{ext}"}, "a name may have 255 bytes"),
        ({"sources": ("piano",)}, "no source 'piano'"),
        ({"samples": -1}, "--samples must be at least 0"),
    ],
)
def test_mistakes_are_found_before_anything_is_touched(config, tmp_path, change, words):
    if change.get("output"):
        change = {"output": str(tmp_path / change["output"])}
    with pytest.raises(UserError, match=words):
        run(dataclasses.replace(config, **change))
    assert not (tmp_path / "stems").exists()


def test_two_formats_of_one_name_stop_nothing(config, tmp_path):
    io.write(tmp_path / "music" / "a.flac", np.zeros((1, 10), np.float32), 8000, format="flac")
    assert plan(config)["keep_their_ending"] == 2
    whole = {a.track: a.whole for a in prepare(config).todo}
    assert whole.pop("a.flac") and whole.pop("a.wav") and not any(whole.values())
