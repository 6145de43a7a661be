"""Finding and loading through one door: choosing sources, splits, fingerprints' listings."""

import pytest

from vsep_ray.config import UserError
from vsep_ray.data import datasets
from vsep_ray.data.crops import CropConfig
from vsep_ray.data.streams import whole
from vsep_ray.data.toy import ToyConfig
from vsep_ray.data.track import Stem, Track

TRACKS = [
    Track("a", uri="/r/a/mixture.wav", stems=(Stem("drums", ("/r/a/d.wav",)), Stem("bass", ("/r/a/b.wav",)))),
    Track("b", stems=(Stem("drums", ("/r/b/1.wav", "/r/b/2.wav")),)),
]


def test_toy_waves_need_no_root_and_mix_to_their_mean():
    config = ToyConfig(train_tracks=2, valid_tracks=1, test_tracks=0)
    tracks = datasets.find("toy", "", toy_config=config)
    assert [t.split for t in tracks] == ["train", "train", "valid"]
    audio = whole(
        datasets.open_track("toy", tracks[0], crop=CropConfig(channels=2, length=64), toy_config=config)
    )
    assert {name: samples.shape for name, samples in audio.items()} == dict.fromkeys(config.shapes, (2, 64))
    assert datasets.scales("toy", 4) == (0.25,) * 4 and datasets.scales("stems", 2) == (1.0, 1.0)


@pytest.mark.parametrize("dataset", ["musdb18hq", "slakh", "stems", "sources", "manifest"])
def test_other_data_sets_need_one(dataset):
    with pytest.raises(UserError, match="--root"):
        datasets.find(dataset, "")


def test_sources_can_be_chosen():
    assert datasets.sources_of(TRACKS) == ("bass", "drums")
    (only,) = datasets.select(TRACKS, ["bass"])
    assert (only.id, [s.source for s in only.stems]) == ("a", ["bass"])
    with pytest.raises(UserError, match="it has bass, drums"):
        datasets.select(TRACKS, ["vocals"])


def test_a_listing_names_files_below_the_root_and_their_sizes(tmp_path):
    (tmp_path / "d.wav").write_bytes(b"123")
    track = Track("a", stems=(Stem("drums", (str(tmp_path / "d.wav"), str(tmp_path / "gone.wav"))),))
    entries, sizes = datasets.listing([track], str(tmp_path))
    changed = (tmp_path / "d.wav").stat().st_mtime_ns
    assert entries == [["a", "", [("drums", "d.wav", 3, changed), ("drums", "gone.wav", -1, 0)]]]
    assert sizes == [3]


def test_only_clips_are_unpaired():
    clips = [Track("a", stems=(Stem("drums", ("d",)),)), Track("a", stems=(Stem("bass", ("b",)),))]
    assert not datasets.paired("sources", clips) and not datasets.paired("manifest", clips)
    assert datasets.paired("stems", clips) and datasets.paired("manifest", TRACKS)
