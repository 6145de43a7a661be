"""Writing a store unit by unit: aligned, resumable, never mixed with another one."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from stores import read_paired

from vsep_ray import storage
from vsep_ray.audio.formats import AudioError
from vsep_ray.config import UserError
from vsep_ray.crops.part_files import cut
from vsep_ray.crops.reading import read_crops
from vsep_ray.crops.store import CropStore
from vsep_ray.crops.writing import UNIT_BYTES, Unit, begin, divide, finish, records, write_unit
from vsep_ray.datasets.streams import BadFileError
from vsep_ray.datasets.track import MIXTURE, PUBLISHED, CropConfig, Stem, Track

RNG = np.random.default_rng(0)
TRACKS = [
    Track(
        f"song {i}",
        stems=(Stem("drums", (f"drums/song {i}.wav",)), Stem("bass", (f"bass/song {i}.wav",))),
        split="valid" if i == 3 else "train",
    )
    for i in range(5)
]
AUDIO = {
    t.id: {s: RNG.uniform(-0.4, 0.4, (1, 90)).astype(np.float32) for s in ("drums", "bass")} for t in TRACKS
}


def layout(tmp_path, **changes):
    plain = CropStore(
        uri=str(tmp_path / "store"),
        dataset="stems",
        **vars(CropConfig(length=40)),
        sources=("drums", "bass"),
        scales=(1.0, 0.5),
        paired=True,
        fingerprint="abc",
    )
    return dataclasses.replace(plain, **changes)


def pieces(audio):
    return {s: iter([a[:, i : i + 40] for i in range(0, a.shape[1], 40)]) for s, a in audio.items()}


def damaged(stream):
    yield next(stream)
    raise BadFileError("bass/song 1.wav", AudioError("decode", "damaged"))


def open_track(track):
    streams = pieces(AUDIO[track.id])
    return streams | ({"bass": damaged(streams["bass"])} if track.id == "song 1" else {})


def pairs(tracks):
    chosen = [[t for t in tracks if t.split == s] for s in ("train", "valid")]
    groups = [c[i : i + 2] for c in chosen for i in range(0, len(c), 2)]
    return [Unit(f"{i:07d}", g[0].split, tuple(g)) for i, g in enumerate(groups)]


def contents(uri):
    return {name: Path(uri, name).read_bytes() for name in storage.list_files(uri)}


def shapes(units):
    return [(u.split, len(u.tracks)) for u in units]


def test_units_hold_neighbours_of_one_split_up_to_a_size():
    tracks = [Track(f"{i:03d}", split="train" if i < 150 else "valid") for i in range(200)]
    units = divide(tracks, [1] * 200)  # an eighth of them, rounded down
    assert shapes(units) == [("train", 25)] * 6 + [("valid", 25)] * 2
    assert [u.key for u in units] == [f"{i:07d}" for i in range(8)]
    assert [t.id for u in units for t in u.tracks] == [t.id for t in tracks]
    large = divide(tracks, [UNIT_BYTES // 3] * 198 + [1, 2 * UNIT_BYTES])
    assert shapes(large) == [("train", 3)] * 50 + [("valid", 3)] * 15 + [("valid", 4), ("valid", 1)]
    assert shapes(divide(tracks[:5], [1] * 5)) == [("train", 1)] * 5


def cut_whole(audio, paired):
    tracks = [Track("t")]
    crops = cut(
        tracks, lambda t: {s: iter([a]) for s, a in audio.items()}, ("drums", "bass"), (1.0, 0.5), paired, 4
    )
    return [(t, at, {s: c.tolist() for s, c in sources.items()}) for t, at, sources in crops]


def test_paired_sources_are_aligned_with_their_mixture():
    audio = {
        "bass": np.ones((1, 3), np.float32),
        PUBLISHED: np.full((1, 4), 0.25, np.float32),
        "junk": np.ones((1, 9)),
    }
    aligned = {
        "drums": [[0, 0, 0, 0]],
        "bass": [[1, 1, 1, 0]],
        PUBLISHED: [[0.25] * 4],
        MIXTURE: [[0.5, 0.5, 0.5, 0]],
    }
    assert cut_whole(audio, paired=True) == [("t", 0, aligned)]


def test_clips_of_a_folder_per_source_have_no_mixture():
    audio = {"bass": np.ones((1, 3), np.float32)}
    assert cut_whole(audio, paired=False) == [("t", 0, {"bass": [[1, 1, 1, 0]]})]


def test_a_store_is_written_and_a_bad_track_is_quarantined(tmp_path):
    plan = layout(tmp_path)
    begin(plan, fresh=False)
    store = finish(plan, [write_unit(plan, unit, open_track) for unit in pairs(TRACKS)], "rev")
    assert CropStore.open(plan.uri) == store
    assert (store.splits["train"].tracks, store.splits["train"].crops, store.splits["valid"].tracks) == (
        3,
        18,
        1,
    )
    assert store.splits["train"].seconds == pytest.approx(18 * 40 / 8_000)
    assert (store.statistics[MIXTURE].crops, store.statistics["drums"].silence) == (12, 0)
    assert pq.read_table(f"{plan.uri}/_quarantine.parquet").to_pylist() == [
        {"uri": "bass/song 1.wav", "stage": "decode", "reason": "damaged"}
    ]
    tracks, sources = read_paired(store, "train")
    assert tracks == [t for t in ("song 0", "song 2", "song 4") for _ in range(3)]
    mixture = read_crops(store, "train", MIXTURE).audio
    np.testing.assert_allclose(mixture, sources[:, 0] + 0.5 * sources[:, 1], atol=1e-4)


def test_an_interrupted_run_goes_on_to_the_same_bytes(tmp_path):
    plan, whole = layout(tmp_path), layout(tmp_path / "undisturbed")
    for one in (plan, whole):
        begin(one, fresh=False)
    units = pairs(TRACKS)
    finish(whole, [write_unit(whole, unit, open_track) for unit in units], "")
    write_unit(plan, units[1], open_track)
    cut_off = write_unit(plan, units[0], open_track)
    storage.delete(storage.join(plan.uri, "_units", f"{cut_off.key}.json"))  # killed between parts and record
    begin(plan, fresh=False)
    done = {r.key for r in records(plan.uri)}
    for unit in units:
        if unit.key not in done:
            write_unit(plan, unit, open_track)
    finish(plan, records(plan.uri), "")
    mine, theirs = contents(plan.uri), contents(whole.uri)
    differing = {name for name in mine | theirs if mine.get(name) != theirs.get(name)}
    assert differing == {"_plan.json", "_store.json"}  # these name the folder
    assert CropStore.open(plan.uri).content
    moved = dataclasses.replace(CropStore.open(plan.uri), uri="")
    assert moved == dataclasses.replace(CropStore.open(whole.uri), uri="")


def test_a_folder_is_never_a_mix_of_two_stores(tmp_path):
    plan = layout(tmp_path)
    begin(plan, fresh=False)
    write_unit(plan, pairs(TRACKS)[0], open_track)
    other = layout(tmp_path, fingerprint="def")
    with pytest.raises(UserError, match=r"abc.*def.*--fresh"):
        begin(other, fresh=False)
    begin(other, fresh=True)
    assert list(contents(plan.uri)) == ["_plan.json"]


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store/thesis.txt").write_text("precious")
    for fresh in (False, True):
        with pytest.raises(UserError, match="empty folder"):
            begin(layout(tmp_path), fresh=fresh)
    assert (tmp_path / "store/thesis.txt").exists()


def test_a_source_without_audible_crops_is_refused(tmp_path):
    plan = layout(tmp_path)
    begin(plan, fresh=False)
    silent = {"drums": AUDIO["song 0"]["drums"]}
    done = [write_unit(plan, unit, lambda track: pieces(silent)) for unit in pairs(TRACKS)]
    with pytest.raises(UserError, match=r"'bass'.*_quarantine\.parquet"):
        finish(plan, done, "")
    with pytest.raises(UserError, match="no finished crop store"):
        CropStore.open(plan.uri)


def test_the_content_is_that_of_the_rows_whatever_their_encoding(tmp_path):
    stores = []
    for name, change, encoding in (("a", 0, "pcm"), ("b", 0, "flac"), ("c", 1e-3, "pcm")):
        plan = layout(tmp_path, uri=str(tmp_path / name), encoding=encoding)
        begin(plan, fresh=False)
        audio = {s: a + np.float32(change) for s, a in AUDIO["song 0"].items()}
        done = [write_unit(plan, unit, lambda track, a=audio: pieces(a)) for unit in pairs(TRACKS)]
        stores.append(finish(plan, done, ""))
    assert stores[0].content == stores[1].content != stores[2].content


def test_a_deadly_track_is_quarantined_unopened(tmp_path):
    plan = layout(tmp_path)
    begin(plan, fresh=False)
    unit = dataclasses.replace(pairs(TRACKS)[0], deadly=("bass/song 1.wav",))
    record = write_unit(plan, unit, open_track)
    assert record.tracks == ("song 0",)
    assert [(r.uri, r.stage) for r in record.rejected] == [
        ("drums/song 1.wav", "crash"),
        ("bass/song 1.wav", "crash"),
    ]


def test_what_a_kill_leaves_behind_is_cleared_away(tmp_path):
    plan = layout(tmp_path)
    store = Path(plan.uri)
    store.mkdir()
    (store / f".{'0' * 32}.part").write_bytes(b"half a plan")
    begin(plan, fresh=False)
    finish(plan, [write_unit(plan, unit, open_track) for unit in pairs(TRACKS)], "")
    assert not [n for n in contents(plan.uri) if n.endswith(".part")]


def test_a_store_that_is_cleared_is_not_finished_at_any_moment(tmp_path, monkeypatch):
    plan = layout(tmp_path)
    begin(plan, fresh=False)
    finish(plan, [write_unit(plan, unit, open_track) for unit in pairs(TRACKS)], "")
    order = []
    monkeypatch.setattr(storage, "delete", lambda uri: order.append(Path(uri).name))
    begin(dataclasses.replace(plan, fingerprint="abc"), fresh=True)
    assert order[0] == "_store.json" and order[-1] == "_plan.json"
    assert all(name.endswith(".json") for name in order[1 : 1 + len(pairs(TRACKS))])
