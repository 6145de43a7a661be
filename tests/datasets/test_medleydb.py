"""MedleyDB's layout: instruments from YAML files, which may lie apart; bleed left out, damage in words."""

import numpy as np
import pytest
import soundfile
import yaml

from vsep_ray.config import UserError
from vsep_ray.datasets import registry
from vsep_ray.datasets.medleydb import BLEED, MedleyDBConfig
from vsep_ray.datasets.streams import BadFileError, whole
from vsep_ray.datasets.track import PUBLISHED, CropConfig

CROP = CropConfig(sample_rate=8_000, channels=1, length=100)
BAND = [
    ("male singer", "melody"), ("vocalists", ""), ("drum set", ""), ("tambourine", ""),
    ("electric bass", "bass"), ("synthesizer", "bass"), ("synthesizer", ""), ("tack piano", ""),
    ("lap steel guitar", ""), ("vibraphone", ""), ("crowd", ""), ("Main System", ""),
    (["acoustic guitar", "clean electric guitar"], ""),
]  # fmt: skip


def make(root, song="Artist_Title", stems=BAND, bleed="no", metadata=None):
    """A song of the published layout, in which the n-th stem has the constant level n / 100."""
    folder, entries = root / "Audio" / song, {}
    (folder / f"{song}_STEMS").mkdir(parents=True)
    (folder / f"{song}_RAW").mkdir()
    for i, (instrument, component) in enumerate(stems, 1):
        name, raw = f"{song}_STEM_{i:02}.wav", f"{song}_RAW_{i:02}_01.wav"
        soundfile.write(folder / f"{song}_STEMS" / name, np.full(250, i / 100), 8_000, subtype="FLOAT")
        soundfile.write(folder / f"{song}_RAW" / raw, np.ones(250), 8_000)
        entries[f"S{i:02}"] = {"instrument": instrument, "component": component, "filename": name}
        entries[f"S{i:02}"]["raw"] = {"R01": {"instrument": instrument, "filename": raw}}
    soundfile.write(folder / f"{song}_MIX.wav", np.full(250, 0.5), 8_000)
    (folder / f"._{song}_MIX.wav").write_bytes(b"\0\5\26\7")
    text = yaml.safe_dump({"has_bleed": bleed, "stems": entries, "title": song})
    place = metadata or folder
    place.mkdir(exist_ok=True)
    (place / f"{song}_METADATA.yaml").write_text(text)
    return folder


def levels(config, root):
    (track,) = config.tracks(str(root))
    return {s: round(float(a.mean()), 4) for s, a in whole(config.open(track, CROP)).items()}


@pytest.mark.parametrize(
    ("stems", "expected"),
    [
        ("four", {"vocals": 0.03, "drums": 0.07, "bass": 0.11, "other": 0.58}),
        ("six", {"vocals": 0.03, "drums": 0.07, "bass": 0.11, "other": 0.28, "piano": 0.08, "guitar": 0.22}),
    ],
)
def test_instruments_are_joined_and_added_up_beside_the_published_mixture(tmp_path, stems, expected):
    make(tmp_path)
    assert levels(MedleyDBConfig(stems=stems), tmp_path) == expected | {PUBLISHED: 0.5}


def test_instruments_can_be_sources_and_rules_come_first(tmp_path):
    make(tmp_path, stems=[("flute", "melody"), ("flute", ""), ("synthesizer", "bass"), ("piano", "")])
    found = levels(MedleyDBConfig(stems="own", map=("-=piano", "low=*/bass")), tmp_path)
    assert found == {"flute": 0.03, "low": 0.03, PUBLISHED: 0.5}


@pytest.mark.parametrize(
    "song",
    [
        {"bleed": "yes"},
        {"bleed": True},
        {"song": min(BLEED)},
        {"stems": [(["drum set", "piano"], "")]},
    ],
    ids=["said", "said by YAML", "errata", "shared stem"],
)
def test_songs_with_bleed_are_left_out_unless_they_are_asked_for(tmp_path, song):
    make(tmp_path, **song)
    with pytest.raises(UserError, match=r"all files of the 1 songs .* --dataset\.bleed takes"):
        MedleyDBConfig(str(tmp_path)).find()
    make(tmp_path, "Other_Song")
    assert [t.id for t in MedleyDBConfig(str(tmp_path)).find()] == ["Other_Song"]
    asked = MedleyDBConfig(str(tmp_path), bleed=True).find()
    assert len(asked) == 2 and "drums" in {s.source for t in asked for s in t.stems if t.id != "Other_Song"}


def test_metadata_may_lie_apart_and_describe_songs_that_are_not_there(tmp_path):
    make(tmp_path / "set", metadata=tmp_path / "apart")
    make(tmp_path / "elsewhere", "Not_There", metadata=tmp_path / "apart")
    with pytest.raises(
        UserError, match=r"Audio/Artist_Title and 0 more .*Artist_Title_METADATA.*--dataset\.meta"
    ):
        MedleyDBConfig(str(tmp_path / "set")).find()
    (track,) = MedleyDBConfig(str(tmp_path / "set"), metadata=str(tmp_path / "apart")).find()
    assert track.id == "Artist_Title" and len(track.files) == 13


def test_splits_are_by_a_hash_of_the_song(tmp_path):
    for i in range(20):
        make(tmp_path, f"Artist_{i}", [("drum set", "")])
    tracks = registry.assign(MedleyDBConfig(str(tmp_path)).find(), 0.3, 0.0)
    assert [t.split for t in tracks] == [
        "valid" if registry.fraction(t.id) < 0.3 else "train" for t in tracks
    ]
    assert {t.split for t in tracks} == {"train", "valid"}


def test_a_stem_that_is_gone_is_a_bad_file_and_a_mixture_that_is_gone_is_none(tmp_path):
    folder = make(tmp_path)
    (folder / "Artist_Title_MIX.wav").unlink()
    assert PUBLISHED not in levels(MedleyDBConfig(), tmp_path)
    path = folder / "Artist_Title_STEMS" / "Artist_Title_STEM_03.wav"
    path.unlink()
    with pytest.raises(BadFileError) as caught:
        levels(MedleyDBConfig(), tmp_path)
    assert caught.value.uri == str(path)


@pytest.mark.parametrize(
    "text",
    [
        "", "a: [", "3", "stems: {}", "has_bleed: 'no'", "{has_bleed: 'no', stems: 3}",
        "{has_bleed: 'no', stems: {S01: {instrument: piano}}}",
        "{has_bleed: 'no', stems: {S01: {instrument: 3, filename: a.wav}}}",
        "{has_bleed: 'no', stems: {S01: {instrument: [], filename: a.wav}}}",
    ],
)  # fmt: skip
def test_damaged_metadata_is_one_sentence(tmp_path, text):
    path = make(tmp_path) / "Artist_Title_METADATA.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        MedleyDBConfig(str(tmp_path)).find()
    message = str(caught.value)
    assert (
        message.startswith(f"{path} is no metadata of MedleyDB: expected has_bleed") and "\n" not in message
    )
