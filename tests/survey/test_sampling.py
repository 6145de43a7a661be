"""Samples of a store: the same every time, audible, the right rows, and stems that belong together."""

from dataclasses import replace

import numpy as np
import pyarrow.compute as pc
import pytest
from stores import SOURCES, joined_store, noise_store, song_store, tune

from vsep_ray.crops.reading import read_crops
from vsep_ray.crops.store import CropStore
from vsep_ray.crops.writing import begin, divide, finish, write_unit
from vsep_ray.datasets.track import Stem, Track
from vsep_ray.survey import sampling


def rows_of(store, source):
    crops = read_crops(store, "train", source)
    keys = zip(crops.track, crops.offset, strict=True)
    return dict(zip(keys, crops.audio, strict=True))


@pytest.mark.parametrize("encoding", ["pcm", "flac"])
def test_a_sample_is_of_every_song_and_its_audio_is_the_store_s(tmp_path, encoding):
    store = noise_store(tmp_path / "store", encoding=encoding)
    listing = sampling.list_crops(store, "bass")
    songs = list(sampling.sample(store, "bass", listing))
    known = rows_of(store, "bass")
    assert len(listing) == 24 and sorted(s.track for s in songs) == sorted({t for t, _ in known})
    assert [s.track for s in songs] != sorted(s.track for s in songs)
    for song in songs:
        assert song.split == "train" and len(song.offsets) == len(song.crops) == 2
        for offset, crop in zip(song.offsets, song.crops, strict=True):
            np.testing.assert_array_equal(crop, known[song.track, offset])


def test_the_same_store_gives_the_same_sample(tmp_path):
    store = noise_store(tmp_path / "store")
    first, second = (
        [(s.track, s.offsets) for s in sampling.sample(store, "bass", sampling.list_crops(store, "bass"))]
        for _ in range(2)
    )
    assert first == second


def test_a_sample_is_bounded(tmp_path, monkeypatch):
    store = noise_store(tmp_path / "store")
    monkeypatch.setattr(sampling, "CROPS", 5)
    songs = list(sampling.sample(store, "bass", sampling.list_crops(store, "bass")))
    assert len(songs) == 5 and all(len(song.crops) == 1 for song in songs)


def test_aligned_crops_are_of_one_song_and_place(tmp_path):
    store = noise_store(tmp_path / "store")
    known = {source: rows_of(store, source) for source in SOURCES}
    seen = dict(sampling.sample_aligned(store, sampling.list_crops(store, "bass")))
    assert len(seen) == 12
    for track, stems in seen.items():
        for source in SOURCES:
            expected = np.stack([known[source][track, offset] for offset in (0, 64)])
            np.testing.assert_array_equal(stems[source], expected)


def test_silent_crops_are_left_out_and_full_scale_is_looked_for(tmp_path):
    """Ten songs of a soft crop, a silent one, and a square wave at full scale."""
    layout = CropStore(str(tmp_path), "sources", 8_000, 1, 64, ("bass",), (1.0,), False, "abc")
    tracks = [Track(f"t{i}", stems=(Stem("bass", ("x",)),), split="train") for i in range(10)]
    pieces = [np.full((1, 64), level, np.float32) for level in (0.1, 0, 1)]
    begin(layout, fresh=False)
    units = divide(tracks, [1] * len(tracks))
    store = finish(layout, [write_unit(layout, u, lambda _: {"bass": iter(pieces)}) for u in units], "")
    songs = list(sampling.sample(store, "bass", sampling.list_crops(store, "bass")))
    assert all(set(song.offsets) <= {0, 128} and song.loudest.max() > 0.99 for song in songs)
    silent = replace(store, statistics={})
    listing = sampling.list_crops(silent, "bass")
    none = listing.filter(listing["silent"])
    assert list(sampling.sample(silent, "bass", none)) == []


def test_joined_stores_are_listed_by_songs_and_members_and_read_in_their_own_length(tmp_path):
    """Song 2 is in both; song 1 is held out in the other, whose crops are longer and begin silent."""
    late = {i: np.pad(tune(i, 6), ((0, 0), (8_000, 0))) for i in (1, 2, 3)}
    first = song_store(tmp_path / "a", {f"song {i}": ("train", {"bass": tune(i, 6)}) for i in range(3)})
    held = {f"take {i}": ("test" if i == 1 else "train", {"bass": late[i]}) for i in late}
    other = song_store(tmp_path / "b", held, dataset="other", length=16_000)
    store = joined_store(tmp_path, [first, other], drop=True)
    listing = sampling.list_crops(store, "bass")
    songs = {(r["member"], r["split"], r["track"]) for r in listing.to_pylist()}
    assert songs == {
        ("other", "test", "other/take 1"), ("other", "train", "other/take 2"),
        ("other", "train", "other/take 3"), ("stems", "train", "other/take 2"),
        ("stems", "train", "stems/song 0"),
    }  # fmt: skip
    for song in sampling.sample(store, "bass", listing):
        assert song.crops.shape[1:] == (1, 8_000)
        assert np.abs(song.crops).max(axis=(1, 2)).min() > 0.05, "audible, each of them"
    theirs = listing.filter(pc.equal(listing["member"], "other"))
    for song in sampling.sample(store, "bass", theirs):
        for offset, crop in zip(song.offsets, song.crops, strict=True):
            number = int(song.track[-1])
            np.testing.assert_allclose(crop, late[number][:, offset : offset + 8_000], atol=1e-4)
