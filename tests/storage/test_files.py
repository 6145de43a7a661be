"""Local paths and URIs, atomic writes, listings with loops."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from vsep_ray import storage
from vsep_ray.config import UserError
from vsep_ray.storage import files, uris


def test_join_and_split_keep_options_and_odd_names():
    assert storage.join("s3://b", "a b", "c#d.wav") == "s3://b/a b/c#d.wav"
    assert storage.join("gs://b/x/?region=eu", "y") == "gs://b/x/y?region=eu"
    assert storage.join("file:///x", "y") == "/x/y"
    assert uris.split("s3://b/why?.wav") == ("s3", "b", "why?.wav", "")


def test_unknown_schemes_are_refused():
    with pytest.raises(UserError, match="cannot open ftp://"):
        storage.exists("ftp://host/x")


def test_writes_are_atomic_and_leave_nothing_behind(tmp_path):
    target = str(tmp_path / "a" / ("n" * 250))
    storage.write_bytes(target, b"old")
    with pytest.raises(RuntimeError), storage.write_local(target) as path:
        path.write_bytes(b"half")
        raise RuntimeError
    assert storage.read_bytes(target) == b"old"
    assert storage.list_files(str(tmp_path)) == ["a/" + "n" * 250]
    assert storage.size(target) == 3
    storage.delete(target)
    storage.delete(target)
    assert storage.size(target) == -1


def test_listing_follows_links_and_cuts_loops(tmp_path):
    (tmp_path / "root" / "b").mkdir(parents=True)
    (tmp_path / "root" / "b" / "2.wav").touch()
    (tmp_path / "root" / "A.wav").touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "3.wav").touch()
    os.symlink(tmp_path / "root", tmp_path / "root" / "b" / "loop")
    os.symlink(tmp_path / "elsewhere", tmp_path / "root" / "c")
    os.symlink(tmp_path / "gone", tmp_path / "root" / "broken.wav")
    assert storage.list_files(str(tmp_path / "root")) == ["A.wav", "b/2.wav", "broken.wav", "c/3.wav"]


def test_upload_download(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    storage.upload(tmp_path / "x", str(tmp_path / "y" / "z"))
    storage.download(str(tmp_path / "y"), tmp_path / "copy")
    assert (tmp_path / "copy" / "z").read_bytes() == b"abc"
    with storage.read_local(f"file://{tmp_path}/y/z") as path:
        assert path.read_bytes() == b"abc"


def test_readers_of_a_remote_file_share_one_copy(bucket, monkeypatch):
    fetched, download = [], files.download
    monkeypatch.setattr(files, "download", lambda uri, path: fetched.append(uri) or download(uri, path))
    target = storage.join(bucket, "song.stem.mp4")
    storage.write_bytes(target, b"abc")

    def read(_):
        with storage.read_local(target) as path:
            return path, path.read_bytes()

    with storage.read_local(target) as first, ThreadPoolExecutor(4) as pool:
        assert set(pool.map(read, range(4))) == {(first, b"abc")}
    assert fetched == [target] and not first.exists()
    with storage.read_local(target):
        assert len(fetched) == 2  # it may be another file by now


def test_a_bucket_is_read_and_written_like_a_folder(bucket, tmp_path):
    target = storage.join(bucket, "a", "b c.txt")
    assert not storage.exists(target) and storage.list_files(bucket) == [] and storage.size(target) == -1
    storage.write_bytes(target, b"abc")
    assert storage.list_files(bucket) == ["a/b c.txt"] and storage.is_directory(storage.join(bucket, "a"))
    assert [size for size, _ in storage.stamps([target, storage.join(bucket, "x")])] == [3, -1]
    with storage.read_local(target) as path:
        assert path.read_bytes() == b"abc" and path.suffix == ".txt"
    with pytest.raises(RuntimeError), storage.write_local(target) as path:
        path.write_bytes(b"half")
        raise RuntimeError
    assert storage.read_bytes(target) == b"abc"
    with pytest.raises(FileNotFoundError), storage.read_local(storage.join(bucket, "x")):
        pass
    storage.download(storage.join(bucket, "a"), tmp_path / "copy")
    assert (tmp_path / "copy" / "b c.txt").read_bytes() == b"abc"
    storage.delete(target)
    assert storage.list_files(bucket) == []
