"""The crop store: sorted, joined by (track, offset), self-describing."""

import dataclasses
import time

import numpy as np
import pyarrow.parquet as pq
import pytest

from vsep_ray.audio.resampling import fit_length
from vsep_ray.config import UserError
from vsep_ray.crops.encoding import encode
from vsep_ray.crops.part_files import to_table
from vsep_ray.crops.reading import read_crops
from vsep_ray.crops.store import (
    JOINED_FORMAT,
    PARTS_FILE,
    SCHEMA,
    CropStore,
    SourceStatistics,
    SplitStatistics,
    latest_store,
    partition,
    write_index,
)
from vsep_ray.datasets.track import CropConfig
from vsep_ray.storage import write_local

RNG = np.random.default_rng(0)


def table_of(track, audio, length, encoding="pcm"):
    starts = range(0, audio.shape[1], length)
    crops = np.stack([fit_length(audio[:, i:], length) for i in starts])
    config = CropConfig(8_000, 2, length, encoding)
    return to_table([track] * len(crops), list(starts), crops, *encode(crops), config)


def make_store(uri, paired=True, num=3, encoding="pcm"):
    store = CropStore(
        uri=str(uri),
        dataset="stems",
        sample_rate=8_000,
        channels=2,
        length=64,
        sources=("drums", "bass"),
        scales=(1.0, 1.0),
        paired=paired,
        splits={"train": SplitStatistics(tracks=num, crops=12, seconds=0.1)},
        statistics={"drums": SourceStatistics(6, 0.0, -20.0), "bass": SourceStatistics(6, 0.5, -30.0)},
        quarantined=0,
        fingerprint="abc",
        encoding=encoding,
    )
    audio = {
        (s, i): RNG.uniform(-0.5, 0.5, (2, 100)).astype(np.float32) for s in store.sources for i in range(num)
    }
    for (source, i), samples in audio.items():
        # part names in another order than track ids, as parallel writers leave them
        with write_local(f"{partition(store.uri, 'train', source)}/part-{9 - i}.parquet") as path:
            pq.write_table(table_of(f"song {i}", samples, 64, encoding), path)
    parts = [("train", source, f"part-{9 - i}.parquet", 1) for source in store.sources for i in range(num)]
    write_index(store.uri, parts)
    store.save()
    return store, audio


def test_the_table_knows_level_peak_and_silence():
    audio = np.concatenate([np.full((2, 64), 0.1), np.full((2, 64), 1e-4), np.zeros((2, 10))], axis=1)
    table = table_of("song", audio.astype(np.float32), 64)
    assert table.schema == SCHEMA
    np.testing.assert_allclose(table["rms_db"].to_numpy(), [-20, -80, -120], atol=1e-4)
    np.testing.assert_allclose(table["peak"].to_numpy(), [0.1, 1e-4, 0], atol=1 / 65_536)
    assert table["silent"].to_pylist() == [False, True, True]
    assert table["offset"].to_pylist() == [0, 64, 128]
    assert table["activity"].to_pylist() == [1, 0, 0]


@pytest.mark.parametrize("encoding", ["pcm", "flac"])
def test_read_crops_is_sorted_and_limited_evenly(tmp_path, encoding):
    store, audio = make_store(tmp_path, encoding=encoding)
    crops = read_crops(CropStore.open(str(tmp_path)), "train", "bass")
    assert crops.track == ["song 0"] * 2 + ["song 1"] * 2 + ["song 2"] * 2
    assert crops.offset.tolist() == [0, 64] * 3
    assert crops.audio.shape == (6, 2, 64) and crops.audio.dtype == np.float32 and not crops.silent.any()
    np.testing.assert_allclose(crops.audio[2], audio["bass", 1][:, :64], atol=1 / 65_536)
    assert read_crops(store, "train", "bass", limit=2).track == ["song 0", "song 2"]
    assert len(read_crops(store, "train", "bass", limit=99).track) == 6


def test_the_store_describes_itself_and_may_be_moved(tmp_path):
    store, _ = make_store(tmp_path / "a")
    assert CropStore.open(store.uri) == store
    (tmp_path / "a").rename(tmp_path / "b")
    assert read_crops(CropStore.open(str(tmp_path / "b")), "train", "drums").audio.shape == (6, 2, 64)


def test_mistakes_are_named(tmp_path):
    with pytest.raises(UserError, match="prepare_crops"):
        CropStore.open(str(tmp_path / "nothing"))
    store, _ = make_store(tmp_path, paired=False)
    with pytest.raises(UserError, match="drums, bass"):
        read_crops(store, "train", "vocals")
    with pytest.raises(UserError, match="split 'valid'"):
        read_crops(store, "valid", "drums")


def test_latest_store_is_the_newest_finished_one(tmp_path):
    assert latest_store(str(tmp_path)) is None
    for name in ("old", "new"):
        make_store(tmp_path / "crops" / name, num=1)
        time.sleep(0.02)
    (tmp_path / "crops" / "unfinished").mkdir()
    assert latest_store(str(tmp_path)) == str(tmp_path / "crops" / "new")


def test_a_store_of_a_later_or_an_early_format_is_refused(tmp_path):
    store, _ = make_store(tmp_path)
    dataclasses.replace(store, format=JOINED_FORMAT + 1).save()
    with pytest.raises(
        UserError, match=f"of format {JOINED_FORMAT + 1}, this version reads up to {JOINED_FORMAT}"
    ):
        CropStore.open(store.uri)
    store.save()  # without a number: before there was one
    assert CropStore.open(store.uri).format == 0
    (tmp_path / PARTS_FILE).unlink()
    with pytest.raises(UserError, match=r"early format, .* prepare it again"):
        CropStore.open(store.uri)
