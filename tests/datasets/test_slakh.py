"""Slakh2100's layout: classes from the metadata, its own splits, its mix kept beside the stems."""

import pytest

from vsep_ray.config import UserError
from vsep_ray.datasets.slakh import SlakhConfig

METADATA = """
audio_dir: stems
stems:
  S00: {audio_rendered: true, inst_class: Bass, is_drum: false}
  S01: {audio_rendered: true, inst_class: Strings (continued), is_drum: false}
  S02: {audio_rendered: true, inst_class: Piano, is_drum: false}
  S03: {audio_rendered: false, inst_class: Guitar, is_drum: false}
  S04: {audio_rendered: true, inst_class: Piano, is_drum: false}
"""


def make(root, *names, ending="flac"):
    for name in names:
        (root / name / "stems").mkdir(parents=True)
        (root / name / "metadata.yaml").write_text(METADATA)
        for file in (f"mix.{ending}", *(f"stems/S0{i}.{ending}" for i in (0, 1, 2, 4))):
            (root / name / file).write_bytes(b"")


@pytest.mark.parametrize("ending", ["flac", "wav"])
def test_stems_are_named_by_their_class_and_splits_by_their_folder(tmp_path, ending):
    names = ("train/Track1", "validation/Track2", "test/Track3", "omitted/Track4", "Track5")
    make(tmp_path, *names, ending=ending)
    found = {t.id: t for t in SlakhConfig().tracks(str(tmp_path))}
    assert {i: t.split for i, t in found.items()} == {
        "Track1": "train",
        "Track2": "valid",
        "Track3": "test",
        "Track5": "",
    }
    first = found["Track1"]
    assert first.uri == str(tmp_path / f"train/Track1/mix.{ending}")
    assert {s.source: [u[-7 - len(ending) + 3 :] for u in s.uris] for s in first.stems} == {
        "bass": [f"S00.{ending}"],
        "piano": [f"S02.{ending}", f"S04.{ending}"],
        "strings_continued": [f"S01.{ending}"],
    }


def test_rules_join_classes(tmp_path):
    make(tmp_path, "Track1")
    (track,) = SlakhConfig(map=("bass=bass", "other=*")).tracks(str(tmp_path))
    assert {s.source: len(s.uris) for s in track.stems} == {"bass": 1, "other": 3}


def test_renderings_of_one_midi_file_are_in_one_split(tmp_path):
    songs = {"train/T1": "a", "train/T2": "a", "validation/T3": "b", "validation/T4": "a", "test/T5": "b"}
    songs |= {"test/T6": "c", "T7": "c", "T8": "d", "T9": "d"}
    make(tmp_path, *songs)
    for name, song in songs.items():
        (tmp_path / name / "metadata.yaml").write_text(f"UUID: {song}\n{METADATA}")
    found = SlakhConfig().tracks(str(tmp_path))
    assert sorted(t.id for t in found) == ["T1", "T2", "T3", "T6", "T8"]


def test_mistakes_are_named(tmp_path):
    with pytest.raises(UserError, match=r"no tracks in .*train/Track00001/metadata\.yaml"):
        SlakhConfig(str(tmp_path)).find()
    (tmp_path / "metadata.yaml").write_text("stems: 3")
    with pytest.raises(UserError, match="no metadata of Slakh"):
        SlakhConfig().tracks(str(tmp_path))
