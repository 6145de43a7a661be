"""What every data set must satisfy, over the union, and the choice of sources."""

import contracts
import pytest

from vsep_ray.config import UserError
from vsep_ray.datasets import registry
from vsep_ray.datasets.folders import SourcesConfig, StemsConfig
from vsep_ray.datasets.manifest import ManifestConfig
from vsep_ray.datasets.streams import whole
from vsep_ray.datasets.toy import ToyConfig
from vsep_ray.datasets.track import CropConfig, Stem, Track

TRACKS = [
    Track("a", uri="/r/a/mixture.wav", stems=(Stem("drums", ("/r/a/d.wav",)), Stem("bass", ("/r/a/b.wav",)))),
    Track("b", stems=(Stem("drums", ("/r/b/1.wav", "/r/b/2.wav")),)),
]
CLIPS = [Track("a", stems=(Stem("drums", ("d",)),)), Track("a", stems=(Stem("bass", ("b",)),))]


@pytest.mark.parametrize("check", contracts.DATASET_CHECKS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("name", contracts.DATASETS)
def test_contract(name, check, tmp_path):
    check(contracts.make(contracts.DATASETS[name], tmp_path))


@pytest.mark.parametrize("check", contracts.FILES_CHECKS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("name", [n for n, kind in contracts.DATASETS.items() if kind.needs_files])
def test_contract_of_those_that_consist_of_files(name, check, tmp_path):
    check(contracts.make(contracts.DATASETS[name], tmp_path))


def test_toy_waves_need_no_root_and_mix_to_their_mean():
    config = ToyConfig(train_tracks=2, valid_tracks=1, test_tracks=0)
    tracks = config.find()
    assert [t.split for t in tracks] == ["train", "train", "valid"]
    audio = whole(config.open(tracks[0], CropConfig(channels=2, length=64)))
    assert {name: samples.shape for name, samples in audio.items()} == dict.fromkeys(config.shapes, (2, 64))
    assert config.scales(4) == (0.25,) * 4 and StemsConfig().scales(2) == (1.0, 1.0)


def test_sources_can_be_chosen():
    assert registry.sources_of(TRACKS) == ("bass", "drums")
    (only,) = registry.select(TRACKS, ["bass"])
    assert (only.id, [s.source for s in only.stems]) == ("a", ["bass"])
    with pytest.raises(UserError, match="it has bass, drums"):
        registry.select(TRACKS, ["vocals"])


def test_a_listing_names_files_below_the_root_and_their_sizes(tmp_path):
    (tmp_path / "d.wav").write_bytes(b"123")
    track = Track("a", stems=(Stem("drums", (str(tmp_path / "d.wav"), str(tmp_path / "gone.wav"))),))
    entries, sizes = StemsConfig(str(tmp_path)).listing([track])
    changed = (tmp_path / "d.wav").stat().st_mtime_ns
    assert entries == [["a", "", [("drums", "d.wav", 3, changed), ("drums", "gone.wav", -1, 0)]]]
    assert sizes == [3]


def test_only_clips_are_unpaired():
    assert not SourcesConfig().paired(CLIPS) and not ManifestConfig().paired(CLIPS)
    assert StemsConfig().paired(CLIPS) and ManifestConfig().paired(TRACKS)
