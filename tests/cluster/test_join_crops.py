"""Stores are joined under Ray, once, and nothing half-made is left."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from stores import joined_store, song_store, tune

from vsep_ray.batches.windows import Window
from vsep_ray.cluster.inputs import crop_store
from vsep_ray.cluster.train.task import StreamSpec
from vsep_ray.config import UserError
from vsep_ray.crops import joining
from vsep_ray.crops.store import CropStore
from vsep_ray.presets import CropsJobConfig

pytestmark = pytest.mark.ray


def songs(*seeds, split="train"):
    return {f"take {i}": (split, {"bass": tune(i, 6), "drums": tune(i + 1_000, 6)}) for i in seeds}


@pytest.fixture(scope="module")
def config(ray_session, tmp_path_factory):
    folder = tmp_path_factory.mktemp("storage")
    first = song_store(folder / "a", songs(0, 1, 2))
    other = song_store(folder / "b", songs(2, 3) | songs(4, split="test"), dataset="moisesdb", length=12_000)
    return CropsJobConfig(storage=str(folder), crops=(first.uri, other.uri), crop_weights=(1.0, 3.0))


def test_stores_are_joined_once_to_what_one_process_makes_of_them(config, tmp_path, caplog):
    caplog.set_level("INFO")
    store = crop_store(config)
    assert Path(store.uri).parent == Path(config.storage, "crops") and store.revision
    assert "bass,moisesdb,train,0.2," in caplog.text
    page = Path(store.uri, "data.html")
    assert str(page) in caplog.text and "bass of moisesdb" in page.read_text()
    alone = joined_store(tmp_path, [CropStore.open(uri) for uri in config.crops], config.crop_weights)
    assert dataclasses.replace(alone, uri=store.uri, revision=store.revision) == store
    written = {p: p.stat().st_mtime_ns for p in Path(store.uri).iterdir()}
    assert crop_store(config) == crop_store(dataclasses.replace(config, crops=(), crop_weights=())) == store
    assert {p: p.stat().st_mtime_ns for p in Path(store.uri).iterdir()} == written


def test_training_streams_all_members_under_their_names(config):
    store = crop_store(config)
    stream = StreamSpec(store, "train", "drums").dataset()
    blocks = lambda: stream.iter_batches(batch_size=None, batch_format="numpy")  # noqa: E731
    window = Window(blocks, 1_000, 0, 1, store.weights)
    assert len(window.resident) == store.statistics["drums"].crops - 6 - 2
    assert {(r.member, r.track) for r in window.resident} == {
        *(("stems", f"{'stems' if i < 2 else 'moisesdb'}/take {i}") for i in range(3)),
        *(("moisesdb", f"moisesdb/take {i}") for i in (2, 3)),
    }
    window.draw(np.random.default_rng(0), 4)


def test_a_kill_leaves_nothing_that_counts_as_finished(config, monkeypatch):
    again = dataclasses.replace(config, crop_weights=(1.0, 1.0))
    for step in ("_write_songs", "write_index"):
        with monkeypatch.context() as patch:
            patch.setattr(joining, step, killed)
            with pytest.raises(KeyboardInterrupt):
                crop_store(again)
    store = crop_store(again)
    assert CropStore.open(store.uri) == store and set(store.weights.values()) == {1.0}


def killed(*_):
    raise KeyboardInterrupt


def test_what_is_trained_on_and_held_out_is_refused_or_dropped(config, tmp_path):
    held = song_store(tmp_path / "c", songs(9) | songs(1, split="valid"), dataset="slakh")
    both = dataclasses.replace(config, crops=(config.crops[0], held.uri), crop_weights=())
    with pytest.raises(UserError, match="stems/take 1 is slakh/take 1 of split valid"):
        crop_store(both)
    store = crop_store(dataclasses.replace(both, duplicates="drop"))
    assert store.splits["train"].tracks == 3


def test_crops_must_be_as_long_as_a_training_asks(config):
    assert crop_store(config, 8_000).length == 8_000
    with pytest.raises(UserError, match=r"--length 8001 is more .*say --length 8000"):
        crop_store(config, 8_001)
