"""Finding and loading through one door: choosing sources, splits, fingerprints' listings."""

import pytest

from vsep_ray.config import UserError
from vsep_ray.datasets import registry
from vsep_ray.datasets.streams import whole
from vsep_ray.datasets.toy import ToyConfig
from vsep_ray.datasets.track import CropConfig, Stem, Track

TRACKS = [
    Track("a", uri="/r/a/mixture.wav", stems=(Stem("drums", ("/r/a/d.wav",)), Stem("bass", ("/r/a/b.wav",)))),
    Track("b", stems=(Stem("drums", ("/r/b/1.wav", "/r/b/2.wav")),)),
]


def test_toy_waves_need_no_root_and_mix_to_their_mean():
    config = ToyConfig(train_tracks=2, valid_tracks=1, test_tracks=0)
    tracks = registry.find("toy", "", toy_config=config)
    assert [t.split for t in tracks] == ["train", "train", "valid"]
    audio = whole(
        registry.open_track("toy", tracks[0], crop=CropConfig(channels=2, length=64), toy_config=config)
    )
    assert {name: samples.shape for name, samples in audio.items()} == dict.fromkeys(config.shapes, (2, 64))
    assert registry.scales("toy", 4) == (0.25,) * 4 and registry.scales("stems", 2) == (1.0, 1.0)


@pytest.mark.parametrize("dataset", ["musdb18hq", "slakh", "stems", "sources", "manifest"])
def test_other_data_sets_need_one(dataset):
    with pytest.raises(UserError, match="--root"):
        registry.find(dataset, "")


def test_sources_can_be_chosen():
    assert registry.sources_of(TRACKS) == ("bass", "drums")
    (only,) = registry.select(TRACKS, ["bass"])
    assert (only.id, [s.source for s in only.stems]) == ("a", ["bass"])
    with pytest.raises(UserError, match="it has bass, drums"):
        registry.select(TRACKS, ["vocals"])


def test_a_listing_names_files_below_the_root_and_their_sizes(tmp_path):
    (tmp_path / "d.wav").write_bytes(b"123")
    track = Track("a", stems=(Stem("drums", (str(tmp_path / "d.wav"), str(tmp_path / "gone.wav"))),))
    entries, sizes = registry.listing([track], str(tmp_path))
    changed = (tmp_path / "d.wav").stat().st_mtime_ns
    assert entries == [["a", "", [("drums", "d.wav", 3, changed), ("drums", "gone.wav", -1, 0)]]]
    assert sizes == [3]


def test_only_clips_are_unpaired():
    clips = [Track("a", stems=(Stem("drums", ("d",)),)), Track("a", stems=(Stem("bass", ("b",)),))]
    assert not registry.paired("sources", clips) and not registry.paired("manifest", clips)
    assert registry.paired("stems", clips) and registry.paired("manifest", TRACKS)
