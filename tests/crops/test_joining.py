"""Joined stores: read as one, no song under two names, none trained on that is held out."""

import dataclasses
import functools
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import joined_store, read_paired, song_store, tune

from vsep_ray.audio.loudness import short_loudness
from vsep_ray.batches.augment import AugmentConfig
from vsep_ray.batches.remixing import draw_remix
from vsep_ray.batches.windows import Window
from vsep_ray.config import UserError
from vsep_ray.crops import joining
from vsep_ray.crops.reading import PAIRED, read_crops, read_rows
from vsep_ray.crops.statistics import contribution_table
from vsep_ray.crops.store import JOINED_FORMAT, CropStore
from vsep_ray.datasets.track import MIXTURE

BEAT = 1_000
"""Seeds of drums are so far from those of the bass of the same song."""


@functools.cache
def sound(seed):
    return tune(seed, seconds=6)


def song(seed, split="train", *sources):
    """Split and stems of a song: each source another tune."""
    stems = {"bass": sound(seed), "drums": sound(seed + BEAT)}
    return split, {s: stems[s] for s in sources or stems}


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Songs 0 to 3 in one store; song 3 under another name, quieter and begun later, in another."""
    folder = tmp_path_factory.mktemp("stores")
    first = song_store(folder / "a", {f"song {i}": song(i) for i in range(4)}, dataset="musdb18")
    quiet = {"bass": 0.1 * sound(3)[:, 3_456:]}
    other = {"take": ("train", quiet), "solo": song(4, "train", "bass"), "held": song(5, "valid", "bass")}
    return first, song_store(folder / "b", other, dataset="sources", paired=False, length=16_000)


@pytest.fixture(scope="module")
def joined(stores, tmp_path_factory):
    return joined_store(tmp_path_factory.mktemp("joined"), stores)


def rows_of(store, split, source):
    groups = store.row_groups(split, store.sources[0] if source == PAIRED else source)
    tables = [read_rows({"name": [name], "group": [group]}, store, split, source) for name, group in groups]
    return [row for table in tables for row in table.to_pylist()]


def test_a_joined_store_describes_itself(joined, stores):
    assert CropStore.open(joined.uri) == joined
    assert (joined.dataset, joined.sources, joined.length) == ("musdb18+sources", ("bass", "drums"), 8_000)
    assert not joined.paired and joined.format == JOINED_FORMAT and joined.content
    assert {(m.name, m.length) for m in joined.members} == {("musdb18", 8_000), ("sources", 16_000)}
    assert MIXTURE in joined.statistics
    assert joined.splits["train"].tracks == 5 and joined.splits["valid"].tracks == 1
    bass = [(c.member, c.split, c.minutes) for c in joined.contributions if c.source == "bass"]
    assert bass == [("musdb18", "train", 0.4), ("sources", "train", 0.2), ("sources", "valid", 0.1)]
    assert joined.statistics["bass"].crops == 24 + 12 + 6
    assert "bass,sources,valid,0.1," in contribution_table(joined.contributions)


def test_members_are_told_by_their_loudness_as_it_is_heard(joined, stores):
    """The median over audible crops, each measured as on a data page."""
    for store, member in zip(stores, ("musdb18", "sources"), strict=True):
        crops = read_crops(store, "train", "bass")
        lufs = [short_loudness(crop, 8_000) for crop in crops.audio[~crops.silent]]
        (told,) = [
            c.lufs for c in joined.contributions if (c.member, c.split, c.source) == (member, "train", "bass")
        ]
        assert told == pytest.approx(np.median(lufs), abs=0.051)
    table = contribution_table(joined.contributions).splitlines()
    assert table[0] == "source,member,split,minutes,silence,lufs"
    assert [line.endswith(f",{told}") for line in table if line.startswith("bass,sources,train")] == [True]


def test_the_same_song_has_one_id_whatever_its_name(joined):
    rows = rows_of(joined, "train", "bass")
    assert {(r["track"], r["member"]) for r in rows} == {
        *((f"musdb18/song {i}", "musdb18") for i in range(4)),
        ("musdb18/song 3", "sources"),
        ("sources/solo", "sources"),
    }
    table = pq.read_table(f"{joined.uri}/_songs.parquet").to_pylist()
    assert [r["song"] for r in table if r["track"] == "take"] == ["musdb18/song 3"]


def test_longer_crops_are_read_in_pieces_of_one_length(joined, stores):
    rows = [r for r in rows_of(joined, "train", "bass") if r["track"] == "sources/solo"]
    assert sorted(r["offset"] for r in rows) == [0, 8_000, 16_000, 24_000, 32_000, 40_000]
    pcm = np.concatenate([np.frombuffer(r["audio"], "<i2") for r in sorted(rows, key=lambda r: r["offset"])])
    np.testing.assert_allclose(pcm / 32_768, sound(4)[0], atol=1 / 65_536)
    crops = read_crops(joined, "train", "bass")
    assert crops.audio.shape[2] == 8_000 and len(crops.track) == 24 + 6 and crops.track == sorted(crops.track)
    few = read_crops(joined, "valid", "bass", limit=2)
    assert few.track == ["sources/held"] * 2 and few.offset.tolist() == [0, 32_000]
    np.testing.assert_allclose(few.audio[0], sound(5)[:, :8_000], atol=1 / 65_536)


def test_pieces_of_no_even_number_hold_all_of_a_crop(tmp_path):
    one = song_store(tmp_path / "a", {"one": song(0)}, length=3_000)
    other = song_store(tmp_path / "b", {"other": song(1)}, length=8_000)
    rows = rows_of(joined_store(tmp_path, [one, other]), "train", "bass")
    rows = [r for r in rows if r["track"].endswith("other")]
    assert [r["offset"] for r in rows][:4] == [0, 2_500, 5_000, 8_000]
    assert {len(r["audio"]) for r in rows} == {6_000}


def test_the_order_of_the_stores_does_not_matter_and_a_second_time_gives_the_same(stores, joined, tmp_path):
    again = joined_store(tmp_path, stores[::-1])
    assert dataclasses.replace(again, uri=joined.uri) == joined
    for name in ("_parts.parquet", "_songs.parquet"):
        assert pq.read_table(f"{again.uri}/{name}").equals(pq.read_table(f"{joined.uri}/{name}"))
    weighted = joining.layout(stores, (1.0, 3.0), False, str(tmp_path))
    turned = joining.layout(stores[::-1], (3.0, 1.0), False, str(tmp_path))
    assert weighted == turned and weighted.uri != again.uri
    assert weighted.weights == {"musdb18": 1.0, "sources": 3.0} and not again.weights


def held_out_twin(folder):
    """Song 1 is in split train of one store and, under another name, in split test of the other."""
    first = song_store(folder / "a", {"one": song(0), "two": song(1), "three": song(2)})
    other = {"elsewhere": song(1, "test"), "four": song(6)}
    return first, song_store(folder / "b", other, dataset="sources")


def test_a_song_that_is_held_out_elsewhere_is_refused(tmp_path):
    words = r"stems/two is sources/elsewhere of split test \(by sound of .*--duplicates drop"
    with pytest.raises(UserError, match=words):
        joined_store(tmp_path, held_out_twin(tmp_path))
    assert not list(tmp_path.glob("joined-*"))


def test_what_is_dropped_is_in_no_stream_and_in_no_figure(tmp_path):
    store = joined_store(tmp_path, held_out_twin(tmp_path), drop=True)
    for source in (*store.sources, MIXTURE, PAIRED):
        songs = {r["track"] for r in rows_of(store, "train", source)}
        assert songs == {"stems/one", "stems/three", "sources/four"}
        gone = {"name": ["stems/part-0000001.parquet"], "group": [0]}  # as where other groups of it are kept
        nothing = {name: [] for name in ("track", "offset", "gain", "audio", "member")}
        assert read_rows(gone, store, "train", source).to_pydict() == nothing
    assert set(read_crops(store, "train", "drums").track) == songs
    assert set(read_crops(store, "test", "drums").track) == {"sources/elsewhere"}
    assert store.splits["train"].tracks == 3 and store.statistics["bass"].crops == 24
    assert {p["name"] for p in store.parts("train", "bass")} == {
        "stems/part-0000000.parquet", "stems/part-0000002.parquet", "sources/part-0000001.parquet"
    }  # fmt: skip


def test_paired_stores_of_the_same_sources_stay_paired(tmp_path):
    store = joined_store(tmp_path, held_out_twin(tmp_path), drop=True)
    assert store.paired
    tracks, sources = read_paired(store, "train")
    (row, *_) = [r for r in rows_of(store, "train", PAIRED) if r["track"] == "sources/four"]
    pcm = np.frombuffer(row["audio"], "<i2").reshape(-1, 2) / 32_768
    np.testing.assert_allclose(pcm.T, sources[tracks.index("sources/four"), :, 0], atol=2 / 65_536)


def a_store(folder, name, **changes):
    return song_store(folder / name, {f"song {name}": song(0)}, fingerprint=name, **changes)


def test_stores_that_do_not_fit_are_refused_in_words(tmp_path):
    first = a_store(tmp_path, "a")
    refused = {
        "twice": (first, first),
        "prepare it once more .*--crop.sample-rate 8000": (first, a_store(tmp_path, "b", rate=16_000)),
        "bass is 0.5 of the mixture": (first, a_store(tmp_path, "c", scales=(0.5, 1.0))),
        "is itself joined": (
            first,
            dataclasses.replace(first, content="x", members=members_of(first)),
        ),
    }
    for words, stores in refused.items():
        with pytest.raises(UserError, match=words):
            joining.layout(stores, (), False, str(tmp_path))
    for weights in ((1.0,), (1.0, 0.0), (1.0, -2.0)):
        with pytest.raises(UserError, match="--crop-weights needs a number above 0 for each of the 2 stores"):
            joining.layout((first, dataclasses.replace(first, content="y")), weights, False, str(tmp_path))


def members_of(store):
    return joining.layout([store, dataclasses.replace(store, content="z")], (), False, "/x").members


def test_stores_without_a_common_source_are_told(tmp_path):
    first = a_store(tmp_path, "a")
    voices = song_store(tmp_path / "b", {"x": ("train", {"voice": sound(7)})})
    assert joining.strangers([first, a_store(tmp_path, "c")]) == []
    told = joining.strangers([first, voices])
    assert len(told) == 2 and "voice" in told[1] and "--map" in told[1]


def test_a_store_that_was_joined_and_has_changed_is_not_read(stores, tmp_path):
    copies = [shutil.copytree(store.uri, tmp_path / store.dataset) for store in stores]
    store = joined_store(tmp_path, [CropStore.open(str(c)) for c in copies])
    dataclasses.replace(CropStore.open(str(copies[0])), content="other").save()
    with pytest.raises(UserError, match=r"has changed since; name the stores by --crops once more"):
        CropStore.open(store.uri)
    shutil.rmtree(copies[0])
    with pytest.raises(UserError, match="no finished crop store"):
        CropStore.open(store.uri)


def rewritten(store, change):
    """The store, opened after its `_store.json` was changed to what older code wrote."""
    path = Path(store.uri, "_store.json")
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))
    return CropStore.open(store.uri)


def test_stores_of_older_formats_join_and_joined_ones_are_read(tmp_path):
    def before_joining(value):
        for name in ("format", "encoding", "revision", "content"):
            del value[name]

    def with_levels(value):
        value["format"] = 4
        for contribution in value["contributions"]:
            contribution["level_db"] = -20.0
            del contribution["lufs"]

    stores = [rewritten(a_store(tmp_path, name), before_joining) for name in "ab"]
    store = joined_store(tmp_path, stores)
    assert {c.lufs for c in store.contributions if c.source == "bass"} != {None}
    older = rewritten(store, with_levels)
    assert [c.lufs for c in older.contributions] == [None] * 6 and older.weights == store.weights
    assert contribution_table(older.contributions).splitlines()[1].endswith(",")


SONGS = st.sets(st.integers(0, 7), min_size=3, max_size=5)


@settings(max_examples=5, deadline=None)
@given(ones=SONGS, others=SONGS, weighted=st.booleans(), seed=st.integers(0, 1_000))
def test_no_mixture_holds_two_stems_of_one_song_whatever_the_stores_share(
    tmp_path_factory, ones, others, weighted, seed
):
    folder = tmp_path_factory.mktemp("law")
    stores = [
        song_store(folder / "a", {f"one {i}": song(i) for i in ones}),
        song_store(folder / "b", {f"other {i}": song(i) for i in others}, dataset="sources"),
    ]
    store = joined_store(folder, stores, (1.0, 5.0) if weighted else ())
    assert store.splits["train"].tracks == len(ones | others)
    truth = {sound(i + k)[0, 2_000:2_032].tobytes(): i for i in range(8) for k in (0, BEAT)}
    windows = [
        Window(lambda s=s: [columns(rows_of(store, "train", s))], 10_000, 0, 1, store.weights)
        for s in store.sources
    ]
    names = {}
    for window in windows:
        for row in window.resident:
            if row.offset == 0:
                start = (np.frombuffer(row.audio, "<i2")[2_000:2_032] / 32_768).astype(np.float32)
                near = min(truth, key=lambda t: np.abs(np.frombuffer(t, np.float32) - start).max())
                assert names.setdefault(row.track, truth[near]) == truth[near]
    assert len(set(names.values())) == len(names)  # so that what differs in its id is another song
    draw_remix(windows, np.random.default_rng(seed), 200, AugmentConfig(), 8_000)  # asserts the law itself


def columns(rows):
    return {name: np.array([row[name] for row in rows], object) for name in rows[0]}
