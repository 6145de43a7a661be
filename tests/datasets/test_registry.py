"""What every data set must satisfy, over the union, the choice of sources, and splits that no song leaves."""

import contracts
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def test_an_inventory_names_files_below_the_root_and_their_sizes(tmp_path):
    (tmp_path / "d.wav").write_bytes(b"123")
    track = Track("a", stems=(Stem("drums", (str(tmp_path / "d.wav"), str(tmp_path / "gone.wav"))),))
    entries, sizes = StemsConfig(str(tmp_path)).inventory([track])
    changed = (tmp_path / "d.wav").stat().st_mtime_ns
    assert entries == [["a", "", [("drums", "d.wav", 3, changed), ("drums", "gone.wav", -1, 0)]]]
    assert sizes == [3]


def test_only_clips_are_unpaired():
    assert not SourcesConfig().paired(CLIPS) and not ManifestConfig().paired(CLIPS)
    assert StemsConfig().paired(CLIPS) and ManifestConfig().paired(TRACKS)


SONGS = st.text("abcdef", min_size=1, max_size=3)
MANY = st.lists(st.tuples(SONGS, st.sampled_from(["drums", "bass", "vocals"])), min_size=1, max_size=40)


def clips(pairs):
    return [Track(song, stems=(Stem(source, (f"{source}/{song}.wav",)),)) for song, source in pairs]


@given(MANY, st.floats(0, 0.5), st.floats(0, 0.49))
def test_no_song_leaks_and_no_source_is_left_without_training_material(pairs, valid, test):
    made = registry.assign(clips(pairs), valid, test)
    assert [t.id for t in made] == [song for song, _ in pairs]
    by_song = {}
    for track in made:
        assert by_song.setdefault(track.id, track.split) == track.split
    for source in {source for _, source in pairs}:
        assert any(t.split == "train" for t in made if t.stems[0].source == source)


def test_a_song_keeps_its_split_when_others_come_and_go():
    many = clips([(f"song {i}", "drums") for i in range(400)])
    splits = {t.id: t.split for t in registry.assign(many, 0.1, 0.2)}
    assert {t.id: t.split for t in registry.assign(many[:200], 0.1, 0.2)}.items() <= splits.items()
    shares = [list(splits.values()).count(s) / 400 for s in ("train", "valid", "test")]
    assert shares == pytest.approx([0.7, 0.1, 0.2], abs=0.06)


@pytest.mark.parametrize("fractions", [(-0.1, 0), (0.5, 0.5), (0, 1)])
def test_fractions_must_leave_something_to_train_on(fractions):
    with pytest.raises(UserError, match="valid-fraction"):
        registry.assign(clips([("a", "drums")]), *fractions)
