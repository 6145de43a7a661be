"""Crop stores by Ray Data: in parallel, resumable, crash-proof, readable by training workers."""

import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from soundfonts import synthesiser_or_skip, write_font, write_song
from stores import read_paired

from vsep_ray import storage
from vsep_ray.cluster.prepare_crops import plan, prepare, run, write_units
from vsep_ray.config import UserError
from vsep_ray.crops.reading import read_crops
from vsep_ray.crops.store import CropStore, latest_store
from vsep_ray.crops.writing import Unit, begin, divide, finish, records
from vsep_ray.datasets.folders import SourcesConfig
from vsep_ray.datasets.midi import MidiConfig
from vsep_ray.datasets.toy import ToyConfig
from vsep_ray.datasets.track import CropConfig, Stem, Track
from vsep_ray.presets import PrepareCropsConfig

pytestmark = pytest.mark.ray
TOY = ToyConfig(train_tracks=300, valid_tracks=8, test_tracks=8)
CROP = CropConfig(length=256)


def config(tmp_path, **changes):
    return PrepareCropsConfig(**{"storage": str(tmp_path), "crop": CROP, "dataset": TOY, **changes})


def drums(uri):
    """A store of drums that nothing is written to yet."""
    return CropStore(str(uri), "sources", 8_000, 1, 256, ("drums",), (1.0,), False, "abc")


@pytest.fixture(scope="module")
def toy_store(ray_session, tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    return prepare(config(folder)), folder


def test_toy_figures_and_store(toy_store):
    figures, folder = toy_store
    assert (figures["tracks"], figures["crops"], figures["quarantined"]) == (316, 4 * 316, 0)
    assert figures["seconds"] == pytest.approx(4 * 316 * 256 / 8_000)
    store = CropStore.open(latest_store(str(folder)))
    assert store.uri == figures["output"] and store.fingerprint == figures["fingerprint"]
    assert store.scales == (0.25,) * 4 and set(store.sources) == set(TOY.shapes)
    _, sources = read_paired(store, "test")
    mixture = read_crops(store, "test", "mixture").audio
    np.testing.assert_allclose(mixture, sources.mean(1), atol=1e-4)


def test_the_same_command_does_nothing_and_a_changed_one_is_another_store(toy_store):
    figures, folder = toy_store
    written = {
        n: Path(figures["output"], n).stat().st_mtime_ns for n in storage.list_files(figures["output"])
    }
    assert prepare(config(folder)) == figures
    assert {
        n: Path(figures["output"], n).stat().st_mtime_ns for n in storage.list_files(figures["output"])
    } == written
    other = plan(config(folder, crop=CropConfig(length=128)))
    assert other["fingerprint"] != figures["fingerprint"] and other["output"] != figures["output"]
    with pytest.raises(UserError, match="--fresh"):
        prepare(config(folder, crop=CropConfig(length=128), output=figures["output"]))


def test_a_store_has_a_page_which_comes_again_the_same_and_is_no_part_of_the_content(toy_store):
    prepared, folder = toy_store
    figures = run(config(folder))
    page = Path(figures.pop("page"))
    assert figures == prepared and page == Path(figures["output"], "data.html")
    first = page.read_bytes()
    assert first.count(b"<audio") == 10 * (len(TOY.shapes) + 1) and b"identical" not in first
    page.unlink()
    fresh = run(config(folder, fresh=True))  # an emptied store, page and all
    assert fresh == {**figures, "page": str(page)} and page.read_bytes() == first


def test_songs_are_rendered_in_parallel_with_damaged_ones_among_them(ray_session, tmp_path):
    synthesiser_or_skip()
    for i in range(9):
        write_song(tmp_path / f"songs/{i}.mid", keys=(60 + i, 64 - i))
    (tmp_path / "songs/cut.mid").write_bytes((tmp_path / "songs/0.mid").read_bytes()[:99])
    (tmp_path / "songs/none.mid").write_bytes(b"")
    dataset = MidiConfig(root=str(tmp_path / "songs"), fonts=(write_font(tmp_path / "x.sf2"),))
    stores = [
        prepare(config(tmp_path / name, dataset=dataset, crop=CropConfig(length=4_000))) for name in "ab"
    ]
    assert stores[0]["content"] == stores[1]["content"]
    assert (stores[0]["tracks"], stores[0]["quarantined"], stores[0]["status"]) == (9, 2, "failed")
    store = CropStore.open(stores[0]["output"])
    _, sources = read_paired(store, "train")
    assert sources.shape[1] == 5 and np.abs(sources).max(axis=(0, 2, 3)).min() > 0.01
    np.testing.assert_allclose(read_crops(store, "train", "mixture").audio, sources.sum(1), atol=2e-4)


def test_clips_with_bad_files_among_them(ray_session, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("drums/a", "drums/b", "shots/bass_1", "shots/bass_2"):
        path = tmp_path / f"music/{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, rng.uniform(-0.5, 0.5, (900, 2)), 16_000)
    (tmp_path / "music/drums/c.wav").write_text("this is not sound")
    (tmp_path / "music/drums/d.wav").mkdir()
    wanted = config(
        tmp_path,
        dataset=SourcesConfig(str(tmp_path / "music"), ("bass=shots/bass_*",)),
        valid_fraction=0.0,
    )
    assert plan(wanted)["sources"] == ["bass", "drums"]
    figures = prepare(wanted)
    assert (figures["tracks"], figures["crops"], figures["quarantined"]) == (4, 8, 2)
    rejected = pq.read_table(f"{figures['output']}/_quarantine.parquet").to_pylist()
    assert [(Path(r["uri"]).name, r["stage"]) for r in rejected] == [("c.wav", "decode"), ("d.wav", "read")]
    assert (
        read_crops(CropStore.open(figures["output"]), "train", "bass").track
        == ["bass_1"] * 2 + ["bass_2"] * 2
    )
    assert not CropStore.open(figures["output"]).paired


def test_a_track_that_kills_its_process_is_quarantined_and_takes_nobody_with_it(ray_session, tmp_path):
    tracks = [Track(f"t{i}", stems=(Stem("drums", (f"t{i}.wav",)),), split="train") for i in range(5)]
    store = drums(tmp_path / "store")

    def open_track(track):
        if track.id == "t2":
            os._exit(1)
        return {"drums": iter([np.full((1, 256), 0.1, np.float32)])}

    begin(store, fresh=False)
    write_units(
        store, [Unit("0", "train", tuple(tracks[:4])), Unit("1", "train", tuple(tracks[4:]))], open_track
    )
    finish(store, records(store.uri), "")
    assert sorted(read_crops(CropStore.open(store.uri), "train", "drums").track) == ["t0", "t1", "t3", "t4"]
    (rejected,) = pq.read_table(f"{store.uri}/_quarantine.parquet").to_pylist()
    assert (rejected["uri"], rejected["stage"]) == ("t2.wav", "crash")


def test_what_is_no_bad_file_ends_the_job(ray_session, tmp_path):
    store = drums(tmp_path / "store")
    begin(store, fresh=False)

    def load(track):
        raise OSError("No space left on device")

    with pytest.raises(RuntimeError, match="No space left"):
        write_units(store, divide([Track("t", split="train")], [1]), load)


def test_from_a_bucket_into_a_bucket(ray_session, bucket, tmp_path):
    audio = np.random.default_rng(0).integers(-9_000, 9_000, 900).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", audio, 8_000)
    for name in ("drums/a.wav", "drums/b.wav", "bass/c.wav"):
        storage.upload(tmp_path / "a.wav", storage.join(bucket, "music", name))
    storage.write_bytes(storage.join(bucket, "music/bass/bad.wav"), b"this is not sound")
    wanted = config(
        tmp_path,
        dataset=SourcesConfig(storage.join(bucket, "music")),
        storage=bucket,
        valid_fraction=0.0,
        max_failed=0.3,
    )
    figures = prepare(wanted)
    assert (figures["status"], figures["tracks"], figures["crops"], figures["quarantined"]) == (
        "done",
        3,
        12,
        1,
    )
    assert figures["output"].startswith("s3://") and latest_store(bucket) == figures["output"]
    store = CropStore.open(figures["output"])
    stored = read_crops(store, "train", "bass").audio.reshape(-1)
    np.testing.assert_array_equal(stored[:900] * 32_768, audio)
    assert prepare(wanted) == figures
