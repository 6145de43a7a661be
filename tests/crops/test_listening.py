"""What is heard of a part file: a bounded number of crops is measured, always the same ones."""

import numpy as np
import pytest
from stores import song_store, tune

from vsep_ray.crops import listening
from vsep_ray.crops.joining import layout
from vsep_ray.crops.listening import hear, to_hear


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Five songs of six seconds, a part file each; the second half of a song is silent."""
    halves = {f"song {i}": ("train", {"bass": tune(i, 6) * (np.arange(48_000) < 24_000)}) for i in range(5)}
    return song_store(tmp_path_factory.mktemp("store"), halves)


def test_measured_crops_are_audible_bounded_and_always_the_same(store):
    heard = {n: hear(store, "a", "train", "bass", "part-0000002.parquet", n) for n in (0, 2, 9)}
    assert {n: len(h.lufs) for n, (h,) in heard.items()} == {0: 0, 2: 2, 9: 3}
    assert hear(store, "a", "train", "bass", "part-0000002.parquet", 2)[0].lufs == heard[2][0].lufs
    assert set(heard[2][0].lufs) < set(heard[9][0].lufs) and min(heard[9][0].lufs) > -40


def test_part_files_share_out_what_is_measured(store, monkeypatch, tmp_path):
    other = song_store(tmp_path, {"x": ("train", {"bass": tune(9, 6)})}, dataset="other")
    joined = layout([store, other], (), False, "/x")
    for most, shares in {3: [0, 1, 0, 1, 1], 12: [2, 2, 3, 2, 3]}.items():
        monkeypatch.setattr(listening, "MEASURED", most)
        asked = list(to_hear(joined, [store, other]))
        assert [a[-1] for a in asked if a[1] == "stems" and a[3] == "bass"] == shares
        assert [a[-1] for a in asked if a[1] == "other" and a[3] == "bass"] == [most]
    monkeypatch.setattr(listening, "MEASURED_SECONDS", 0.0)
    assert sum(a[-1] for a in to_hear(joined, [store, other]) if a[1] == "stems" and a[3] == "bass") == 1
