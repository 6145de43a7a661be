"""Manifests: which file is of which source and song, as a table says."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vsep_ray import storage
from vsep_ray.config import UserError
from vsep_ray.datasets.manifest import ManifestConfig
from vsep_ray.datasets.track import Stem, Track


def write(path, *lines):
    path.write_text("\n".join(lines))
    return str(path)


def test_files_of_one_song_are_one_track(tmp_path):
    uri = write(
        tmp_path / "songs.csv",
        "path,source,track,split",
        "a/kick.wav,drums,a,train",
        "a/snare.wav,drums,a,train",
        "/abs/a.flac,bass,a,train",
        "a/mix.wav,mixture,a,train",
        "s3://bucket/b.wav,bass,b,valid",
    )
    a, b = ManifestConfig().tracks(uri)
    assert a == Track(
        id="a",
        uri=str(tmp_path / "a/mix.wav"),
        stems=(
            Stem("bass", ("/abs/a.flac",)),
            Stem("drums", (str(tmp_path / "a/kick.wav"), str(tmp_path / "a/snare.wav"))),
        ),
        split="train",
    )
    assert b == Track("b", stems=(Stem("bass", ("s3://bucket/b.wav",)),), split="valid")


def test_where_no_song_has_two_sources_every_file_is_a_clip(tmp_path):
    table = {"uri": ["x/1.wav", "x/2.wav", "y.wav"], "source": ["drums", "drums", "bass"]}
    pq.write_table(pa.table({**table, "track": ["one", "one", None]}), tmp_path / "clips.parquet")
    found = ManifestConfig().tracks(str(tmp_path / "clips.parquet"))
    assert [(t.id, t.stems[0].source, t.split) for t in found] == [
        ("one", "drums", ""),
        ("one", "drums", ""),
        (str(tmp_path / "y.wav"), "bass", ""),
    ]


def test_names_are_text_rows_count_once_and_a_song_has_one_split(tmp_path):
    uri = write(
        tmp_path / "songs.csv",
        "path,source,track,split",
        "a.wav,drums,007,valid",
        "a.wav,drums,007,valid",
        "./a.wav,drums,007,",
        "b.wav,bass,007,",
        "c.wav,bass,7,",
    )
    first, second = ManifestConfig().tracks(uri)
    assert (first.id, first.split, [s.uris for s in first.stems]) == (
        "007",
        "valid",
        [(str(tmp_path / "b.wav"),), (str(tmp_path / "a.wav"),)],
    )
    assert (second.id, second.split) == ("7", "")


def test_files_lie_beside_a_manifest_in_a_bucket(bucket):
    uri = storage.join(bucket, "music", "songs.csv")
    storage.write_bytes(uri, b"path,source\na b.wav,drums\n")
    (clip,) = ManifestConfig().tracks(uri)
    assert clip.files == (storage.join(bucket, "music", "a b.wav"),)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["path", "a.wav"], "no column 'source'"),
        (["source", "drums"], "no column 'path'"),
        (["path,source", "a.wav,"], "has no source"),
        (["path,source,split", "a.wav,drums,dev"], "train, valid or test"),
        (["path,source,track,split", "a.wav,drums,s,train", "b.wav,bass,s,test"], "'s' is in two splits"),
        (
            ["path,source,track,split", "a.wav,drums,s,train", "./a.wav,drums,t,test"],
            "a.wav' is in two splits",
        ),
        (
            ["path,source,track", "a.wav,mixture,s", "b.wav,mixture,s"],
            "'s' has several mixtures",
        ),
        (['path,source\n"a'], "cannot be read"),
    ],
)
def test_mistakes_are_named(tmp_path, lines, words):
    with pytest.raises(UserError, match=words):
        ManifestConfig().tracks(write(tmp_path / "m.csv", *lines))
    with pytest.raises(UserError, match="is not there"):
        ManifestConfig().tracks(str(tmp_path / "nowhere.csv"))
