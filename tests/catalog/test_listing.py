"""Folders, globs and manifests; names of stems; what is refused before any work."""

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vsep_ray.catalog.listing import check_names, read_catalog, stem_names
from vsep_ray.config import UserError
from vsep_ray.datasets.track import Track

TEMPLATE = "{path}/{source}.{ext}"


@pytest.fixture
def folder(tmp_path):
    music = ["b.WAV", "a.mp3", "live/é ü.flac", "live/deep/x.y.ogg", "text.wav"]
    for name in [*music, "cover.jpg", "notes.txt", ".hidden.wav"]:
        path = tmp_path / "music" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "music" / "folder.wav").mkdir()
    os.symlink(tmp_path / "music", tmp_path / "music" / "live" / "loop")
    return tmp_path / "music"


def ids(uri):
    return [track.id for track in read_catalog(str(uri))]


def test_a_folder_in_a_deterministic_order(folder):
    assert ids(folder) == ["a.mp3", "b.WAV", "live/deep/x.y.ogg", "live/é ü.flac", "text.wav"]
    assert all(os.path.isfile(track.uri) for track in read_catalog(f"{folder}/"))


def test_globs(folder):
    assert ids(f"{folder}/*.[mW]*") == ["a.mp3", "b.WAV"]
    assert ids(f"{folder}/live/**/*.[fo]*") == ["deep/x.y.ogg", "é ü.flac"]
    assert ids(f"{folder}/**/[!b].*") == ["a.mp3", "live/deep/x.y.ogg"]
    assert ids(f"{folder}/a.mp3") == ["a.mp3"]


def test_manifests(folder):
    (folder / "list.csv").write_text("path,title\nlive/é ü.flac,x\na.mp3,y\na.mp3,z\nmissing.wav,\n")
    assert ids(folder / "list.csv") == ["a.mp3", "live/é ü.flac", "missing.wav"]
    absolute = ["/x/a/1.wav", "/x/b/1.wav", "s3://bucket/2.wav"]
    pq.write_table(pa.table({"uri": absolute[:2]}), folder / "list.parquet")
    assert ids(folder / "list.parquet") == ["a/1.wav", "b/1.wav"]
    pq.write_table(pa.table({"uri": absolute}), folder / "list.parquet")
    assert [t.uri for t in read_catalog(str(folder / "list.parquet"))] == sorted(absolute)


@pytest.mark.parametrize("name", ["nowhere", "nowhere/*.wav", "nowhere.csv", "live/*.mp3", "wrong.csv"])
def test_nothing_to_do_is_the_users_mistake(folder, name):
    (folder / "wrong.csv").write_text("title\nx\n")
    with pytest.raises(UserError):
        read_catalog(str(folder / name))


def test_names_that_are_not_utf8_have_printable_ids(tmp_path):
    open(os.fsencode(tmp_path) + b"/caf\xe9.wav", "wb").close()
    (track,) = read_catalog(str(tmp_path))
    assert track.id == "caf\\udce9.wav"
    assert os.path.exists(track.uri)


def test_stem_names():
    assert stem_names("a.b/c.d.mp3", ["x"], "{path}_{source}_{suffix}.{ext}", "ogg") == ("a.b/c.d_x_mp3.ogg",)


def test_what_clashes_keeps_its_ending_and_nothing_else_does():
    tracks = [Track("a.mp3"), Track("a.flac"), Track("b.wav"), Track("live/a.mp3")]
    assert check_names(tracks, ["bass", "other"], TEMPLATE, "wav") == {"a.mp3", "a.flac"}
    assert check_names(tracks[::-1], ["bass", "other"], TEMPLATE, "wav") == {"a.mp3", "a.flac"}
    assert not check_names(tracks, ["bass"], "{path}.{suffix}/{source}.{ext}", "wav")


def test_names_that_some_disks_take_for_one_are_kept_apart_where_that_is_possible():
    tracks = [Track("A.flac"), Track("a.mp3"), Track("\u00e9.wav"), Track("e\u0301.ogg"), Track("b.wav")]
    assert check_names(tracks, ["bass"], TEMPLATE, "wav") == {t.id for t in tracks[:4]}
    check_names([Track("A.wav"), Track("a.wav")], ["bass"], TEMPLATE, "wav")  # two songs where they lie


def test_what_clashes_with_an_ending_keeps_its_own():
    tracks = [Track(name) for name in ("a.b", "a.mp3", "a.mp3.b", "a.mp3.b.c", "x.b")]
    assert check_names(tracks, ["bass"], TEMPLATE, "wav") == {t.id for t in tracks} - {"x.b"}


def test_tracks_that_clash_all_the_same_are_refused_with_their_names():
    with pytest.raises(UserError, match=r"'a\.mp3' and 'b\.mp3'.*--template"):
        check_names([Track("a.mp3"), Track("b.mp3")], ["bass"], "all/{source}.{ext}", "wav")


TEMPLATES = ["{path}.{ext}", "{path}/{source}/{title}", "../{path}{source}", "/{path}{source}"]


@pytest.mark.parametrize("template", TEMPLATES)
def test_templates_that_cannot_work(template):
    with pytest.raises(UserError, match="template"):
        check_names([Track("a.wav")], ["bass"], template, "wav")
