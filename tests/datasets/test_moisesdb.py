"""MoisesDB's layout: classes from data.json, files of one class added up, bleed left out, damage in words."""

import json

import numpy as np
import pytest
import soundfile

from vsep_ray.config import UserError
from vsep_ray.crops.part_files import cut
from vsep_ray.datasets import registry
from vsep_ray.datasets.moisesdb import MoisesDBConfig
from vsep_ray.datasets.streams import BadFileError, whole
from vsep_ray.datasets.track import MIXTURE, CropConfig

CROP = CropConfig(sample_rate=8_000, channels=1, length=100)
BAND = {
    "vocals": ["lead female singer", "background vocals"],
    "bass": ["bass guitar", "tuba (bass of brass)"],
    "drums": ["kick drum"],
    "percussion": ["a-tonal percussion (claps, shakers, congas, cowbell etc)"],
    "guitar": ["acoustic guitar"],
    "piano": [],
}


def make(root, song, stems=BAND, bleed=()):
    """A song of the published layout, in which the n-th file has the constant level n / 100."""
    folder, entries, level = root / "moisesdb_v0.1" / song, [], 0
    for stem, kinds in stems.items():
        (folder / stem).mkdir(parents=True)
        entries.append({"id": f"stem-{stem}", "stemName": stem, "tracks": []})
        for kind in kinds:
            level += 1
            soundfile.write(folder / stem / f"{level}.wav", np.full(250, level / 100), 8_000, subtype="FLOAT")
            entry = {"id": str(level), "trackType": kind.replace(" ", "_"), "extension": "wav"}
            entries[-1]["tracks"].append(entry | {"type": "audio/x-wav", "has_bleed": kind in bleed})
    (folder / "data.json").write_text(json.dumps({"song": song, "artist": "A", "stems": entries}))
    return folder


def levels(config, root):
    (track,) = config.tracks(str(root))
    return {s: a.mean() for s, a in whole(config.open(track, CROP)).items()}


@pytest.mark.parametrize(
    ("stems", "expected"),
    [
        ("four", {"vocals": 0.03, "bass": 0.07, "drums": 0.05, "other": 0.13}),
        ("six", {"vocals": 0.03, "bass": 0.07, "drums": 0.05, "other": 0.06, "guitar": 0.07}),
        ("own", {"vocals": 0.03, "bass": 0.07, "drums": 0.05, "percussion": 0.06, "guitar": 0.07}),
    ],
)
def test_files_of_one_source_are_added_up(tmp_path, stems, expected):
    make(tmp_path, "uuid")
    assert levels(MoisesDBConfig(stems=stems), tmp_path) == pytest.approx(expected)


def test_rules_come_before_the_table_and_can_name_instruments(tmp_path):
    make(tmp_path, "uuid")
    rules = ("drums=percussion/a_tonal*", "other=bass/tuba*", "-=guitar")
    expected = {"vocals": 0.03, "bass": 0.03, "drums": 0.11, "other": 0.04}
    assert levels(MoisesDBConfig(map=rules), tmp_path) == pytest.approx(expected)


def test_files_with_bleed_are_left_out_unless_they_are_asked_for(tmp_path):
    make(tmp_path, "uuid", bleed=("kick drum", "bass guitar"))
    expected = {"vocals": 0.03, "bass": 0.04, "other": 0.13}
    assert levels(MoisesDBConfig(), tmp_path) == pytest.approx(expected)
    assert levels(MoisesDBConfig(bleed=True), tmp_path)["drums"] == pytest.approx(0.05)


def test_where_all_bleeds_the_flag_is_named(tmp_path):
    make(tmp_path, "uuid", {"drums": ["kick drum"]}, bleed=("kick drum",))
    with pytest.raises(UserError, match=r"all files of the 1 songs in .* --dataset\.bleed takes"):
        MoisesDBConfig(str(tmp_path)).find()
    make(tmp_path, "other", {"drums": ["kick drum"]})
    assert [t.id for t in MoisesDBConfig(str(tmp_path)).find()] == ["other"]


def test_a_source_that_a_song_lacks_is_silent_in_its_crops(tmp_path):
    make(tmp_path, "uuid")
    dataset, sources = MoisesDBConfig(str(tmp_path), stems="six"), ("drums", "piano")
    crops = [
        c for _, _, c in cut(dataset.find(), lambda t: dataset.open(t, CROP), sources, (1, 1), True, 100)
    ]
    assert len(crops) == 3 and all(not c["piano"].any() for c in crops)
    np.testing.assert_array_equal(crops[0][MIXTURE], crops[0]["drums"])
    assert crops[0]["drums"].mean() == pytest.approx(0.05)


def test_splits_are_by_a_hash_of_the_song(tmp_path):
    for i in range(20):
        make(tmp_path, f"uuid-{i}", {"drums": ["kick drum"]})
    tracks = registry.assign(MoisesDBConfig(str(tmp_path)).find(), 0.3, 0.0)
    assert [t.split for t in tracks] == [
        "valid" if registry.fraction(t.id) < 0.3 else "train" for t in tracks
    ]
    assert {t.split for t in tracks} == {"train", "valid"}


@pytest.mark.parametrize(
    ("damage", "usable"),
    [
        (lambda path: path.unlink(), False),
        (lambda path: path.write_bytes(b""), False),
        (lambda path: soundfile.write(path, np.zeros(0), 8_000), False),
        (lambda path: soundfile.write(path, np.zeros(250), 8_000), True),
    ],
    ids=["gone", "no bytes", "no samples", "silence"],
)
def test_a_file_that_is_gone_or_empty_is_a_bad_file_and_silence_is_not(tmp_path, damage, usable):
    path = make(tmp_path, "uuid") / "drums" / "5.wav"
    damage(path)
    if usable:
        assert levels(MoisesDBConfig(), tmp_path)["drums"] == 0
        return
    with pytest.raises(BadFileError) as caught:
        levels(MoisesDBConfig(), tmp_path)
    assert caught.value.uri == str(path)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "\xff", '{"song": "a"}', '{"stems": 3}', '{"stems": [{"stemName": "bass"}]}', "[" * 9**5],
    ids=lambda text: text[:12],
)
def test_damaged_metadata_is_one_sentence(tmp_path, text):
    path = make(tmp_path, "uuid") / "data.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(UserError) as caught:
        MoisesDBConfig(str(tmp_path)).find()
    message = str(caught.value)
    assert message.startswith(f"{path} is no metadata of MoisesDB: expected {{") and "\n" not in message
