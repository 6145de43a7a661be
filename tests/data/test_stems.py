"""Folders of stems and of clips: which file is which source of which song, and how it is loaded."""

import numpy as np
import pytest
import soundfile

from vsep_ray.config import UserError
from vsep_ray.data.crops import PUBLISHED
from vsep_ray.data.shards import BadFileError
from vsep_ray.data.stems import folder_per_source, folder_per_track, load, parse_rules

RNG = np.random.default_rng(0)


def write(path, length=800, sample_rate=8_000, channels=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    audio = RNG.integers(-9_000, 9_000, (length, channels)).astype(np.int16)
    soundfile.write(path, audio, sample_rate)
    return audio.T.astype(np.float32) / 32_768


def relative(track, root):
    return {s.source: [u.removeprefix(f"{root}/") for u in s.uris] for s in track.stems}


def test_a_folder_per_track(tmp_path):
    for name in ("b/drums.wav", "b/bass/low.wav", "b/bass/high.FLAC", "b/mixture.wav", "a/drums.wav"):
        write(tmp_path / name)
    (tmp_path / "b/cover.png").write_text("no sound")
    a, b = folder_per_track(str(tmp_path))
    assert (a.id, a.uri, relative(a, tmp_path)) == ("a", "", {"drums": ["a/drums.wav"]})
    assert (b.id, b.uri) == ("b", str(tmp_path / "b/mixture.wav"))
    assert relative(b, tmp_path) == {"bass": ["b/bass/high.FLAC", "b/bass/low.wav"], "drums": ["b/drums.wav"]}


def test_a_root_with_sound_files_is_one_track_and_rules_name_its_sources(tmp_path):
    for name in ("drums", "bassguitar", "clav", "horns"):
        write(tmp_path / f"song/{name}.wav")
    rules = parse_rules(["bass=bassguitar.wav", "other=clav*", "other=horns*"])
    (track,) = folder_per_track(str(tmp_path / "song"), rules)
    assert track.id == "song"
    assert relative(track, tmp_path / "song") == {
        "bass": ["bassguitar.wav"],
        "drums": ["drums.wav"],
        "other": ["clav.wav", "horns.wav"],
    }


def test_stems_are_summed_resampled_and_mapped_to_the_channels(tmp_path):
    low = write(tmp_path / "t/bass/low.wav", 800, channels=2)
    high = write(tmp_path / "t/bass/high.wav", 500)
    write(tmp_path / "t/drums.wav", 44_100, sample_rate=44_100)
    mixture = write(tmp_path / "t/mixture.wav", 900)
    audio = load(folder_per_track(str(tmp_path))[0], 8_000, 1)
    expected = low.mean(0, keepdims=True)
    expected[:, :500] += high
    np.testing.assert_allclose(audio["bass"], expected, atol=1e-6)
    assert audio["drums"].shape == (1, 8_000) and audio["drums"].dtype == np.float32
    np.testing.assert_array_equal(audio[PUBLISHED], mixture)


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
    rules = parse_rules(["bass=set/low", "drums=set/kick_*", "vocals=*/vocals.wav"])
    found = [(next(iter(relative(t, tmp_path))), t.id) for t in folder_per_source(str(tmp_path), rules)]
    assert sorted(found) == [
        ("bass", "a"),
        ("bass", "a"),
        ("bass", "b"),
        ("drums", "kick_1"),
        ("vocals", "a"),
        ("vocals", "c"),
    ]


def test_the_first_rule_that_matches_counts(tmp_path):
    write(tmp_path / "shots/bass_c.wav")
    write(tmp_path / "shots/snare.wav")
    rules = parse_rules(["bass=shots/bass_*", "drums=shots"])
    assert [t.stems[0].source for t in folder_per_source(str(tmp_path), rules)] == ["bass", "drums"]


@pytest.mark.parametrize(
    ("kind", "stage", "reason"),
    [
        ("empty", "decode", "empty"),
        ("text", "decode", "Invalid data|not recognised"),
        ("nan", "decode", "not finite"),
        ("no samples", "decode", "no samples"),
        ("one sample", "decode", "shorter than one sample"),
        ("directory", "read", "a directory"),
        ("vanished", "read", "No such file"),
        ("broken link", "read", "No such file"),
    ],
)
def test_bad_files_are_found_and_named(tmp_path, kind, stage, reason):
    path = tmp_path / "drums" / "x.wav"
    write(path)
    match kind:
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_text("this is not sound")
        case "nan":
            soundfile.write(path, np.array([0.1, np.nan, 0.2]), 8_000, subtype="FLOAT")
        case "no samples":
            soundfile.write(path, np.zeros(0), 8_000)
        case "one sample":
            soundfile.write(path, np.ones(1), 192_000)
        case "directory":
            path.unlink()
            path.mkdir()
        case "broken link":
            path.unlink()
            path.symlink_to(tmp_path / "nowhere.wav")
    (track,) = folder_per_source(str(tmp_path))
    if kind == "vanished":
        path.unlink()
    with pytest.raises(BadFileError, match=reason) as caught:
        load(track, 8_000, 1)
    assert (caught.value.uri, caught.value.stage) == (str(path), stage)


def test_mistakes_are_named(tmp_path):
    with pytest.raises(UserError, match="not a folder"):
        folder_per_track(str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="no sound file"):
        folder_per_source(str(tmp_path))
    write(tmp_path / "stray.wav")
    with pytest.raises(UserError, match=r"stray\.wav.*--map"):
        folder_per_source(str(tmp_path))
    with pytest.raises(UserError, match="SOURCE=GLOB"):
        parse_rules(["drums"])
