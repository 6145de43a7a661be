"""Folders of stems and of clips: which file is which source of which song."""

import os

import numpy as np
import pytest
import soundfile

from vsep_ray.config import UserError
from vsep_ray.datasets.folders import SourcesConfig, StemsConfig


def write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(80, 0.1), 8_000)


def folder_per_track(root, *rules):
    return StemsConfig(map=rules).tracks(str(root))


def folder_per_source(root, *rules):
    return SourcesConfig(map=rules).tracks(str(root))


def relative(track, root):
    return {s.source: [u.removeprefix(f"{root}/") for u in s.uris] for s in track.stems}


def test_a_folder_per_track(tmp_path):
    for name in ("b/drums.wav", "b/bass/low.wav", "b/bass/high.FLAC", "b/mixture.wav", "a/drums.wav"):
        write(tmp_path / name)
    (tmp_path / "b/cover.png").write_text("no sound")
    a, b = folder_per_track(tmp_path)
    assert (a.id, a.uri, relative(a, tmp_path)) == ("a", "", {"drums": ["a/drums.wav"]})
    assert (b.id, b.uri) == ("b", str(tmp_path / "b/mixture.wav"))
    assert relative(b, tmp_path) == {"bass": ["b/bass/high.FLAC", "b/bass/low.wav"], "drums": ["b/drums.wav"]}


def test_a_root_with_sound_files_is_one_track_and_rules_name_its_sources(tmp_path):
    for name in ("drums", "bassguitar", "clav", "horns"):
        write(tmp_path / f"song/{name}.wav")
    rules = ("bass=bassguitar.wav", "other=clav*", "other=horns*")
    (track,) = folder_per_track(tmp_path / "song", *rules)
    assert track.id == "song"
    assert relative(track, tmp_path / "song") == {
        "bass": ["bassguitar.wav"],
        "drums": ["drums.wav"],
        "other": ["clav.wav", "horns.wav"],
    }


def test_a_folder_per_source_names_source_and_song(tmp_path):
    for name in (
        "vocals/a.wav",
        "bass/a/slap.wav",
        "bass/b.wav",
        "set/low/a.wav",
        "set/kick_1.wav",
        "c/vocals.wav",
    ):
        write(tmp_path / name)
    rules = ("bass=set/low", "drums=set/kick_*", "vocals=*/vocals.wav")
    found = [(next(iter(relative(t, tmp_path))), t.id) for t in folder_per_source(tmp_path, *rules)]
    assert sorted(found) == [
        ("bass", "a"),
        ("bass", "a"),
        ("bass", "b"),
        ("drums", "kick_1"),
        ("vocals", "a"),
        ("vocals", "c"),
    ]


def test_odd_names(tmp_path):
    for name in ("vox [dry]/a.wav", "vox [dry]/b.wav", "bass/a.wav", "bass/._a.wav", "__MACOSX/bass/a.wav"):
        write(tmp_path / name)
    (tmp_path / "bass" / os.fsdecode(b"caf\xe9.wav")).write_bytes(b"")
    found = {(t.stems[0].source, t.id) for t in folder_per_source(tmp_path)}
    assert found == {("vox [dry]", "a"), ("vox [dry]", "b"), ("bass", "a"), ("bass", "caf\\udce9")}


def test_the_first_rule_that_matches_counts(tmp_path):
    write(tmp_path / "shots/bass_c.wav")
    write(tmp_path / "shots/snare.wav")
    found = folder_per_source(tmp_path, "bass=shots/bass_*", "drums=shots")
    assert [t.stems[0].source for t in found] == ["bass", "drums"]


def test_mistakes_are_named(tmp_path):
    with pytest.raises(UserError, match="not a folder"):
        folder_per_track(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no sound file"):
        folder_per_source(tmp_path)
    write(tmp_path / "stray.wav")
    with pytest.raises(UserError, match=r"stray\.wav.*--map"):
        folder_per_source(tmp_path)
    with pytest.raises(UserError, match="SOURCE=GLOB"):
        folder_per_source(tmp_path, "drums")
    for name in ("song/mixture.wav", "song/mixture.flac"):
        write(tmp_path / "two" / name)
    with pytest.raises(UserError, match=r"'song' has several mixtures: .*flac, .*wav; keep one"):
        folder_per_track(tmp_path / "two")


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        (
            ("bass=basses/*",),
            r"--map bass='basses/\*' must match files: no sound file in .* does; one .* bass/a",
        ),
        (("low=bass", "deep=*/a.wav"), "deep='.*' must match files: earlier pairs take all files that it"),
    ],
)
def test_a_pair_that_takes_no_file_is_refused(tmp_path, rules, words):
    write(tmp_path / "bass" / "a.wav")
    with pytest.raises(UserError, match=words):
        folder_per_source(tmp_path, *rules)


def test_a_pair_need_not_match_in_every_song(tmp_path):
    write(tmp_path / "one" / "bassguitar.wav")
    write(tmp_path / "two" / "bass.wav")
    found = folder_per_track(tmp_path, "bass=bassguitar.*")
    assert [stem.source for track in found for stem in track.stems] == ["bass", "bass"]
    with pytest.raises(UserError, match="must match files"):
        folder_per_track(tmp_path, "bass=one/bassguitar.*")  # relative to the song's folder
