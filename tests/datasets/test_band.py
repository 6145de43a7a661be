"""Band songs as a data set: the same songs anywhere, other songs in every split, stems by family."""

import dataclasses

import numpy as np
import pytest
from soundfonts import synthesiser_or_skip, write_font

from vsep_ray.audio.loudness import loudness
from vsep_ray.config import UserError, fingerprint
from vsep_ray.datasets.band import BandConfig
from vsep_ray.datasets.streams import BadFileError, whole
from vsep_ray.datasets.track import CropConfig
from vsep_ray.music import stems

CROP = CropConfig(sample_rate=8_000, channels=1, length=4_000)


@pytest.fixture
def dataset(tmp_path):
    synthesiser_or_skip()
    return BandConfig(
        fonts=(write_font(tmp_path / "x.sf2"),),
        train_songs=3, valid_songs=1, test_songs=1, song_seconds=8.0,
    )  # fmt: skip


def opened(dataset, track):
    return whole(dataset.open(track, CROP))


def test_songs_come_with_their_splits_and_all_sources(dataset):
    found = dataset.find()
    assert [t.id for t in found] == [
        "train-000000",
        "train-000001",
        "train-000002",
        "valid-000000",
        "test-000000",
    ]
    assert [t.split for t in found] == ["train"] * 3 + ["valid", "test"]
    assert all([s.source for s in t.stems] == ["bass", "drums", "guitar", "other", "piano"] for t in found)


def test_a_song_is_the_same_again_and_no_song_is_in_two_splits_or_seeds(dataset):
    seen = []
    for config in (dataset, dataclasses.replace(dataset, seed=1)):
        for track in config.find():
            audio = opened(config, track)
            mixture = sum(audio.values())
            assert len({x.shape for x in audio.values()}) == 1
            assert abs(mixture.shape[1] / CROP.sample_rate - 9) < 3 and np.abs(mixture).max() > 0.01
            seen.append(mixture.tobytes())
            assert seen[-1] == sum(opened(config, track).values()).tobytes()
    assert len(set(seen)) == len(seen)


def test_a_glimpse_is_a_part_of_the_song_at_its_level_and_knows_the_length_of_all(dataset):
    dataset = dataclasses.replace(dataset, song_seconds=20.0, level_spread=0.0)
    (track, *_) = dataset.find()
    seconds, streams = dataset.glimpse(track, CROP, 6.0)
    song, seen = opened(dataset, track), whole(streams)
    assert song["drums"].shape[1] == pytest.approx(seconds * CROP.sample_rate, abs=2)
    assert set(seen) == set(song) and {x.shape for x in seen.values()} == {(1, 6 * CROP.sample_rate)}
    assert loudness(seen["drums"], CROP.sample_rate) == pytest.approx(
        loudness(song["drums"], CROP.sample_rate), abs=1.5
    )
    longer, all_of_it = dataset.glimpse(track, CROP, 99.0)
    assert longer == seconds and np.array_equal(whole(all_of_it)["drums"], song["drums"])


def test_what_decides_the_sound_decides_the_crops(dataset):
    def mark(config):
        return fingerprint(config.inventory(config.find()).content)

    changes = ({"seed": 1}, {"song_seconds": 9.0}, {"transpose": 0}, {"families": ("four",)})
    marks = [mark(dataset), *(mark(dataclasses.replace(dataset, **change)) for change in changes)]
    assert len(set(marks)) == len(marks) and mark(dataset) == marks[0]


@pytest.mark.parametrize("change", [{"train_songs": 0}, {"valid_songs": -1}, {"song_seconds": 1.0}])
def test_mistakes_are_told_with_what_is_expected(dataset, change):
    with pytest.raises(UserError, match=r"--dataset\.train-songs of 1 or more"):
        dataclasses.replace(dataset, **change).find()


def test_a_song_whose_instruments_no_font_has_is_a_bad_file(dataset, monkeypatch):
    monkeypatch.setattr(stems, "preset_of", lambda *place: None)
    (track, *_) = dataset.find()
    with pytest.raises(BadFileError, match="no SoundFont has all of the programs") as caught:
        opened(dataset, track)
    assert caught.value.uri == "band:train-000000"
