"""Tracks as streams: summed, resampled, side by side, and bad files named."""

import errno
import pickle

import numpy as np
import pytest
import soundfile
from damage import DAMAGES, check
from hypothesis import given, settings
from hypothesis import strategies as st

from vsep_ray import storage
from vsep_ray.audio.formats import AudioError
from vsep_ray.audio.resampling import rechunk
from vsep_ray.datasets.folders import SourcesConfig, StemsConfig
from vsep_ray.datasets.streams import BadFileError, aligned, open_stems, whole
from vsep_ray.datasets.track import PUBLISHED, CropConfig

RNG = np.random.default_rng(0)
CROP = CropConfig(sample_rate=8_000, channels=1, length=300)


def write(path, length=800, sample_rate=8_000, channels=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    audio = RNG.integers(-9_000, 9_000, (length, channels)).astype(np.int16)
    soundfile.write(path, audio, sample_rate)
    return audio.T.astype(np.float32) / 32_768


def ramp(length):
    return np.arange(length, dtype=np.float32)[None]


@given(st.lists(st.integers(0, 50), max_size=8), st.integers(1, 40))
@settings(max_examples=50, deadline=None)
def test_pieces_of_another_length_are_the_same_signal(sizes, length):
    signal = ramp(sum(sizes))
    blocks = np.split(signal, np.cumsum(sizes)[:-1], axis=1) if sizes else []
    pieces = list(rechunk(iter(blocks), length))
    assert all(p.shape[1] == length for p in pieces[:-1])
    assert sum(p.shape[1] for p in pieces) == sum(sizes) and all(p.size for p in pieces)
    if pieces:
        np.testing.assert_array_equal(np.concatenate(pieces, axis=1), signal)


def test_stems_are_summed_resampled_and_mapped_to_the_channels(tmp_path):
    low = write(tmp_path / "t/bass/low.wav", 800, channels=2)
    high = write(tmp_path / "t/bass/high.wav", 500)
    write(tmp_path / "t/drums.wav", 44_100, sample_rate=44_100)
    mixture = write(tmp_path / "t/mixture.wav", 900)
    streams = {s: list(a) for s, a in open_stems(StemsConfig().tracks(str(tmp_path))[0], CROP).items()}
    assert [p.shape for p in streams["bass"]] == [(1, 300), (1, 300), (1, 200)]
    audio = whole(streams)
    expected = low.mean(0, keepdims=True)
    expected[:, :500] += high
    np.testing.assert_allclose(audio["bass"], expected, atol=1e-6)
    assert audio["drums"].shape == (1, 8_000) and audio["drums"].dtype == np.float32
    np.testing.assert_array_equal(audio[PUBLISHED], mixture)


def test_streams_go_on_side_by_side_until_the_longest_ends():
    streams = {"a": rechunk([ramp(5)], 2), "b": rechunk([ramp(3)], 2)}
    crops = [{s: c.tolist() for s, c in item.items()} for item in aligned(streams, 2, silent=["c"])]
    assert [c["a"] for c in crops] == [[[0, 1]], [[2, 3]], [[4, 0]]]
    assert [c["b"] for c in crops] == [[[0, 1]], [[2, 0]], [[0, 0]]]
    assert [c["c"] for c in crops] == [[[0, 0]]] * 3


@pytest.mark.parametrize("kind", DAMAGES)
def test_bad_files_are_found_and_named(tmp_path, kind):
    ending, damage, _, _ = DAMAGES[kind]
    path = tmp_path / "drums" / f"x{ending}"
    write(path, 40_000)
    damage(path)
    (track,) = SourcesConfig().tracks(str(tmp_path))
    with pytest.raises(BadFileError) as caught:
        whole(open_stems(track, CROP))
    assert caught.value.uri == str(path)
    check(kind, caught.value.stage, caught.value.message)


def test_a_file_without_a_sample_at_the_new_rate_is_bad(tmp_path):
    (tmp_path / "drums").mkdir()
    soundfile.write(tmp_path / "drums/x.wav", np.ones(1), 192_000)
    (track,) = SourcesConfig().tracks(str(tmp_path))
    with pytest.raises(BadFileError, match="shorter than one sample"):
        whole(open_stems(track, CROP))


def test_a_full_disk_is_no_bad_file(tmp_path, monkeypatch):
    def full(uri):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(storage, "read_local", full)
    (tmp_path / "drums").mkdir()
    (tmp_path / "drums/x.wav").touch()
    (track,) = SourcesConfig().tracks(str(tmp_path))
    with pytest.raises(OSError, match="No space left"):
        whole(open_stems(track, CROP))


def test_a_bad_file_is_told_to_other_processes():
    error = BadFileError("a.wav", AudioError("decode", "it is cut"))
    told = pickle.loads(pickle.dumps(error))
    assert (told.uri, told.stage, told.message, str(told)) == ("a.wav", "decode", "it is cut", str(error))
