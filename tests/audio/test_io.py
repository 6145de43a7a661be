"""Every container in and out, and every kind of bad file by its stage."""

import os

import numpy as np
import pytest
import soundfile

from vsep_ray.audio import io
from vsep_ray.audio.containers.trust import open_file
from vsep_ray.audio.formats import FORMATS, AudioError, check_format, libsndfile_subtype
from vsep_ray.config import UserError


@pytest.fixture
def noise():
    return np.random.default_rng(0).uniform(-0.5, 0.5, (2, 100_003)).astype(np.float32)


@pytest.mark.parametrize(("format", "subtype", "tolerance"), [
    ("wav", "auto", 0), ("wav", "24", 2**-24), ("wav", "16", 2**-16),
    ("flac", "auto", 2**-24), ("flac", "16", 2**-16),
])  # fmt: skip
def test_lossless_formats_round_to_the_nearest_step(tmp_path, noise, format, subtype, tolerance):
    path = tmp_path / "x"
    io.write(path, noise, 44_100, format=format, subtype=subtype)
    back, rate = io.read(path)
    assert rate == 44_100
    assert np.abs(back - noise).max() <= tolerance


@pytest.mark.parametrize(("format", "rate"), [("ogg", 44_100), ("opus", 48_000), ("mp3", 44_100)])
def test_lossy_formats_keep_the_length(tmp_path, noise, format, rate):
    path = tmp_path / f"x.{format}"
    io.write(path, noise, rate, format=format)
    assert io.read(path)[0].shape == noise.shape
    assert io.probe(path).length == noise.shape[1]


@pytest.mark.parametrize("format", ["wav", "flac", "ogg", "opus", "mp3"])
def test_same_samples_same_bytes(tmp_path, noise, monkeypatch, format):
    for name in "ab":
        io.write(tmp_path / name, noise[:, :8000], 8000, format=format, tags={"title": "é"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    if format == "wav":  # two writes within a second prove nothing about the clock
        start = (tmp_path / "a").read_bytes().find(b"PEAK")
        assert (tmp_path / "a").read_bytes()[start + 12 : start + 16] == bytes(4)


def test_integers_clip_at_full_scale(tmp_path):
    io.write(tmp_path / "x", np.float32([[2.0, -2.0]]), 8000, subtype="16")
    assert io.read(tmp_path / "x")[0].tolist() == [[1 - 2**-15, -1.0]]


def test_blocks_concatenate_to_the_file_and_tags_come_back(tmp_path, noise):
    io.write(tmp_path / "x", noise, 8000, tags={"title": "Łąka", "artist": "A"})
    with io.open_blocks(tmp_path / "x", 999) as (_, stream):
        blocks = list(stream)
    assert max(b.shape[1] for b in blocks) == 999
    assert np.array_equal(np.concatenate(blocks, 1), noise)
    assert io.probe(tmp_path / "x").tags == {"title": "Łąka", "artist": "A"}


@pytest.mark.parametrize("codec", ["aac", "alac"])
def test_pyav_reads_what_libsndfile_cannot(tmp_path, noise, codec):
    import av

    path = tmp_path / "x.m4a"
    with av.open(str(path), "w") as container:
        container.metadata.update({"title": "Łąka", "artist": "A", "encoder": "?"})
        stream = container.add_stream(codec, rate=44_100, layout="stereo")
        samples = np.ascontiguousarray(noise)
        for start in range(0, samples.shape[1], 1024):
            block = samples[:, start : start + 1024]
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout="stereo")
            frame.rate, frame.pts = 44_100, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    info = io.probe(path)
    assert (info.sample_rate, info.channels) == (44_100, 2)
    assert info.tags == {"title": "Łąka", "artist": "A"}
    assert abs(info.length - noise.shape[1]) < 4096
    audio, _ = io.read(path)
    assert abs(audio.shape[1] - noise.shape[1]) < 4096
    if codec == "alac":
        assert np.abs(audio[:, :50_000] - noise[:, :50_000]).max() < 2**-14


def bad_files(folder):
    rng = np.random.default_rng(1)
    good = rng.uniform(-0.1, 0.1, (30_000, 2)).astype(np.float32)
    soundfile.write(folder / "cut.flac", good, 8000)
    data = (folder / "cut.flac").read_bytes()
    (folder / "cut.flac").write_bytes(data[: len(data) // 2])
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("hello")
    soundfile.write(folder / "header.wav", good[:0], 8000)
    good[20_000] = np.nan
    soundfile.write(folder / "nan.wav", good, 8000, subtype="FLOAT")
    (folder / "folder.wav").mkdir()
    damaged = ("cut.flac", "empty.wav", "text.wav", "header.wav", "nan.wav")
    return dict.fromkeys(damaged, "decode") | {"folder.wav": "read", "nowhere.wav": "read"}


def test_bad_files_name_their_stage(tmp_path):
    for name, stage in bad_files(tmp_path).items():
        with pytest.raises(AudioError) as caught:
            io.read(tmp_path / name)
        assert caught.value.stage == stage, name
        assert caught.value.message
    with pytest.raises(AudioError, match="sample 20000 is not finite"):
        io.read(tmp_path / "nan.wav")


def test_an_error_of_the_consumer_is_not_blamed_on_the_file(tmp_path, noise):
    io.write(tmp_path / "x", noise, 8000)
    with pytest.raises(OSError, match="disk full"), io.open_blocks(tmp_path / "x"):
        raise OSError("disk full")


@pytest.mark.parametrize(
    ("rate", "channels"), [(8000, 1), (11_025, 2), (44_100, 2), (48_000, 6), (96_000, 8), (192_000, 1)]
)
@pytest.mark.parametrize("format", FORMATS)
def test_check_format_says_what_the_writer_does(tmp_path, format, rate, channels):
    audio = np.zeros((channels, 1000), np.float32)
    failure = check_format(rate, channels, format)
    if failure:
        assert failure.stage == "format" and "wav" in failure.message
        with pytest.raises(AudioError, match="encode"):
            io.write(tmp_path / "x", audio, rate, format=format)
    else:
        io.write(tmp_path / "x", audio, rate, format=format)


def test_subtypes_that_a_format_lacks_are_the_users_mistake():
    with pytest.raises(UserError, match="flac has no subtype 'float'"):
        libsndfile_subtype("flac", "float")
    with pytest.raises(UserError, match="unknown"):
        libsndfile_subtype("wma")


def test_an_mp3_without_a_length_header_is_read_to_its_end(tmp_path):
    audio = np.random.default_rng(0).standard_normal(44_100) / 9
    soundfile.write(tmp_path / "a.mp3", audio, 44_100, bitrate_mode="CONSTANT", compression_level=0.5)
    content = (tmp_path / "a.mp3").read_bytes().replace(b"Xing", b"LAME").replace(b"Info", b"LAME")
    tag = b"ID3\3\0\0\0\0\x7f\x76" + bytes(16_374)  # libsndfile then takes the tag's bytes for sound
    (tmp_path / "b.mp3").write_bytes(tag + content)
    assert 44_100 <= io.read(tmp_path / "b.mp3")[0].shape[1] < io.probe(tmp_path / "b.mp3").length


def test_an_mp3_of_varying_bit_rate_without_a_length_header_is_read_to_its_end(tmp_path):
    loud = np.random.default_rng(0).uniform(-0.5, 0.5, 88_200)
    audio = np.concatenate([loud, 1e-3 * np.sin(np.arange(441_000) / 20)])
    soundfile.write(tmp_path / "a.mp3", audio, 44_100, bitrate_mode="VARIABLE", compression_level=0.2)
    content = (tmp_path / "a.mp3").read_bytes().replace(b"Xing", b"LAME").replace(b"Info", b"LAME")
    comment = b"More Info inside"
    (tmp_path / "b.mp3").write_bytes(b"ID3\3\0\0\0\0\0" + bytes([len(comment)]) + comment + content)
    assert soundfile.SoundFile(tmp_path / "b.mp3").frames < len(audio)
    assert len(audio) <= io.read(tmp_path / "b.mp3")[0].shape[1] < len(audio) + 5_000
    assert open_file(tmp_path / "b.mp3")[0] is None  # PyAV reads it


def test_empty_tags_are_no_tags(tmp_path):
    with soundfile.SoundFile(tmp_path / "a.flac", "w", 8000, 1) as file:
        file.title, file.artist = "A", "B"
        file.write(np.zeros(100))
    content = (tmp_path / "a.flac").read_bytes()
    # a comment of 7 bytes, TITLE=A, becomes ARTIST= with an empty value
    (tmp_path / "a.flac").write_bytes(content.replace(b"TITLE=A", b"ARTIST="))
    assert "" not in io.probe(tmp_path / "a.flac").tags.values()
    io.write(tmp_path / "b.wav", np.zeros((1, 10), np.float32), 8000, tags=io.probe(tmp_path / "a.flac").tags)


@pytest.mark.parametrize("title", ["PEAK", "THE SPEAKER", "PEAK TIME LIVE SET", "x" * 5000])
def test_tags_may_speak_of_peaks(tmp_path, title):
    tags = {"title": title, "comment": "made by us"}
    io.write(tmp_path / "x", np.full((1, 100), 0.5, np.float32), 8000, tags=tags)
    if len(title) < 100:  # libsndfile reads no longer ones
        assert io.probe(tmp_path / "x").tags == tags
    content = (tmp_path / "x").read_bytes()
    start = content.rfind(b"PEAK", 0, content.rfind(b"data")) + 12
    assert content[start : start + 4] == bytes(4)


def test_names_that_are_not_utf8_are_read(tmp_path):
    io.write(tmp_path / "x.wav", np.zeros((1, 10), np.float32), 8000)
    os.rename(tmp_path / "x.wav", os.fsencode(tmp_path) + b"/caf\xe9.wav")
    assert io.read(str(tmp_path / "caf\udce9.wav"))[0].shape == (1, 10)


def test_a_file_that_is_closed_is_whole_but_not_synced(tmp_path, noise, monkeypatch):
    """soundfile syncs when it closes, by a call of `flush` that it does not document.

    Fails if it closes without that call, so that each stem is synced twice, or if it stops to sync, so that
    our own `flush` has no more use.
    """
    calls = []

    class Spy:
        def __getattr__(self, name):
            calls.append(name)
            return getattr(library, name)

    library = soundfile._snd
    monkeypatch.setattr(soundfile, "_snd", Spy())
    io.write(tmp_path / "x.wav", noise, 8000)
    assert "sf_close" in calls and "sf_write_sync" not in calls
    soundfile.write(tmp_path / "y.wav", noise.T, 8000)
    assert "sf_write_sync" in calls
    assert np.array_equal(io.read(tmp_path / "x.wav")[0], noise)
