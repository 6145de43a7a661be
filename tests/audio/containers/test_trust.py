"""Damage that decoders pass over is found, and good files that libsndfile misreads are read whole."""

import struct

import numpy as np
import pytest
import soundfile

from vsep_ray.audio import io
from vsep_ray.audio.containers import ogg
from vsep_ray.audio.formats import AudioError

RATE = 48_000


@pytest.fixture
def noise():
    return np.random.default_rng(0).uniform(-0.4, 0.4, (1, 2 * RATE)).astype(np.float32)


def pages(content):
    """The pages of an Ogg file."""
    return [bytearray(b"OggS" + page) for page in content.split(b"OggS")[1:]]


def joined(pages):
    """An Ogg file of pages that were changed, with checksums that are right."""
    for page in pages:
        page[ogg.CHECKSUM : ogg.CHECKSUM + 4] = struct.pack("<I", ogg._checksum(bytes(page)))
    return b"".join(pages)


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


DAMAGES = {
    "a byte short": (lambda b: b[:-1], "truncated: it ends within an Ogg page"),
    "a third short": (lambda b: b[: -len(b) // 3], "truncated: it ends within an Ogg page"),
    "one bit": (flipped, "another checksum"),
    "a page is missing": (
        lambda b: b"".join(p for i, p in enumerate(pages(b)) if i != 3),
        "pages are missing",
    ),
    "a page comes twice": (lambda b: b"".join([*pages(b)[:4], *pages(b)[3:]]), "pages are missing"),
    "two pages changed places": (
        lambda b: b"".join([*pages(b)[:2], pages(b)[3], pages(b)[2], *pages(b)[4:]]),
        "pages are missing",
    ),
    "rubbish between": (
        lambda b: b"".join([*pages(b)[:3], bytes(90), *pages(b)[3:]]),
        "there is no Ogg page",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("format", ["ogg", "opus"])
def test_a_damaged_ogg_file_is_refused(tmp_path, noise, format, damage):
    io.write(tmp_path / "x", noise, RATE, format=format)
    change, words = DAMAGES[damage]
    content = (tmp_path / "x").read_bytes()
    (tmp_path / "x").write_bytes(change(content))
    with pytest.raises(AudioError, match=words):
        io.probe(tmp_path / "x")


@pytest.mark.parametrize("format", ["ogg", "opus"])
def test_a_good_ogg_file_may_have_a_tag_behind_it_or_another_file(tmp_path, noise, format):
    io.write(tmp_path / "x", noise, RATE, format=format)
    whole, _ = io.read(tmp_path / "x")
    content = (tmp_path / "x").read_bytes()
    (tmp_path / "x").write_bytes(content + b"TAG" + bytes(125))
    assert np.array_equal(io.read(tmp_path / "x")[0], whole)
    (tmp_path / "x").write_bytes(content + content)  # a chain
    assert io.read(tmp_path / "x")[0].shape[1] == pytest.approx(2 * whole.shape[1], abs=2_000)


def test_opus_whose_positions_do_not_begin_at_0(tmp_path, noise):
    """As in a stream that was joined late: the sound is the same."""
    io.write(tmp_path / "x", noise, RATE, format="opus")
    whole, _ = io.read(tmp_path / "x")
    changed = pages((tmp_path / "x").read_bytes())
    for page in changed[2:]:
        page[6:14] = struct.pack("<q", struct.unpack("<q", page[6:14])[0] + 1_000)
    (tmp_path / "x").write_bytes(joined(changed))
    assert np.array_equal(io.read(tmp_path / "x")[0], whole)


def test_opus_of_unknown_rate_has_48_khz(tmp_path, noise):
    io.write(tmp_path / "x", noise, RATE, format="opus")
    changed = pages((tmp_path / "x").read_bytes())
    changed[0][40:44] = bytes(4)
    (tmp_path / "x").write_bytes(joined(changed))
    audio, rate = io.read(tmp_path / "x")
    assert rate == RATE and audio.shape[1] == pytest.approx(noise.shape[1], abs=2_000)


def test_flac_of_unknown_length(tmp_path, noise):
    """As programs write it that cannot go back to the header."""
    io.write(tmp_path / "x", noise, RATE, format="flac")
    whole, _ = io.read(tmp_path / "x")
    content = bytearray((tmp_path / "x").read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    (tmp_path / "x").write_bytes(content)
    assert np.array_equal(io.read(tmp_path / "x")[0], whole)
    (tmp_path / "x").write_bytes(flipped(content))
    with pytest.raises(AudioError, match="damaged"):
        io.read(tmp_path / "x")


@pytest.mark.parametrize(("offset", "value", "words"), [
    (20, struct.pack("<H", 0x9999), "FFmpeg cannot decode"),
    (24, struct.pack("<I", 8), "a sample rate of 8 Hz"),
])  # fmt: skip
def test_a_wav_header_that_cannot_be_meant(tmp_path, noise, offset, value, words):
    io.write(tmp_path / "x", noise, RATE, subtype="16")
    content = bytearray((tmp_path / "x").read_bytes())
    content[offset : offset + len(value)] = value
    (tmp_path / "x").write_bytes(content)
    for look in (io.probe, io.read):
        with pytest.raises(AudioError, match=words):
            look(tmp_path / "x")


@pytest.mark.parametrize("format", ["WAV", "RF64", "W64", "AIFF", "AU", "CAF"])
def test_a_cut_file_is_refused(tmp_path, noise, format):
    """FFmpeg reads as much as is there; libsndfile, too."""
    soundfile.write(tmp_path / "x", noise.T, RATE, format=format, subtype="PCM_16")
    content = (tmp_path / "x").read_bytes()
    assert np.abs(io.read(tmp_path / "x")[0] - noise).max() < 2**-14
    for short in (1, len(content) // 2):
        (tmp_path / "x").write_bytes(content[:-short])
        for look in (io.probe, io.read):
            with pytest.raises(AudioError, match="truncated"):
                look(tmp_path / "x")


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFF000])
def test_a_wav_of_unknown_length_is_read_to_its_end(tmp_path, noise, size):
    """As programs write it that cannot go back to the header."""
    soundfile.write(tmp_path / "x.wav", noise.T, RATE)
    content = (tmp_path / "x.wav").read_bytes()
    (tmp_path / "x.wav").write_bytes(content[:40] + struct.pack("<I", size) + content[44:])
    assert io.read(tmp_path / "x.wav")[0].shape == noise.shape


def test_a_playlist_is_no_sound(tmp_path, noise):
    """FFmpeg would read whatever file it names."""
    io.write(tmp_path / "secret.wav", noise, RATE)
    (tmp_path / "x.wav").write_text("ffconcat version 1.0\nfile secret.wav\n")
    with pytest.raises(AudioError, match="no sound in this concat file"):
        io.read(tmp_path / "x.wav")


def muxed(path, noise, codec):
    """Write noise by PyAV."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE, layout="mono")
        for start in range(0, noise.shape[1], 960):
            block = np.ascontiguousarray(noise[:, start : start + 960])
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
            frame.rate, frame.pts = RATE, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(("name", "codec"), [("x.mka", "aac"), ("x.mka", "flac"), ("x.m4a", "alac")])
def test_what_ffmpeg_passes_over(tmp_path, noise, name, codec):
    muxed(tmp_path / name, noise, codec)
    content = (tmp_path / name).read_bytes()
    assert io.read(tmp_path / name)[0].shape[1] == pytest.approx(noise.shape[1], abs=4_096)
    middle = len(content) // 2
    holes = [content[:middle], content[:middle] + bytes(9_000) + content[middle + 9_000 :]]
    for damaged in holes if name == "x.mka" else holes[:1]:
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(AudioError, match=r"damaged|truncated|not a sound file"):
            io.read(tmp_path / name)


@pytest.fixture
def unstated(tmp_path):
    """An MP3 of constant bit rate whose first frame does not say how many there are, and its samples."""
    audio = np.random.default_rng(0).standard_normal(132_300) / 9
    soundfile.write(tmp_path / "a.mp3", audio, 44_100, bitrate_mode="CONSTANT", compression_level=0.5)
    content = (tmp_path / "a.mp3").read_bytes().replace(b"Xing", b"LAME").replace(b"Info", b"LAME")
    (tmp_path / "a.mp3").write_bytes(content)
    return content, io.read(tmp_path / "a.mp3")[0].shape[1]


@pytest.mark.parametrize("damage", [bytes(600), np.random.default_rng(1).bytes(600)])
def test_a_hole_in_an_mp3_that_does_not_state_its_length(tmp_path, unstated, damage):
    """libsndfile took the hole for the end."""
    content, _ = unstated
    (tmp_path / "b.mp3").write_bytes(content[:5_000] + damage + content[5_000 + len(damage) :])
    with pytest.raises(AudioError, match="there is no MP3 frame, and others come behind"):
        io.read(tmp_path / "b.mp3")


@pytest.mark.parametrize(("before", "behind"), [
    (b"", bytes(3_000)), (b"", b"LYRICSBEGIN" + b"la " * 900 + b"LYRICS200"), (b"\xff\xff", b""),
    (b"", b"TAG" + bytes(125)), (b"APETAGEX" + bytes(200), b"garbage!!!"),
    (b"", np.random.default_rng(1).bytes(2_000)),  # in which FFmpeg finds a frame of two channels
])  # fmt: skip
def test_what_lies_around_an_mp3_is_no_sound(tmp_path, unstated, before, behind):
    content, samples = unstated
    (tmp_path / "b.mp3").write_bytes(before + content + behind)
    assert io.read(tmp_path / "b.mp3")[0].shape[1] == pytest.approx(samples, abs=2_400)


@pytest.mark.parametrize(("rate", "channels", "words"), [(48_000, 1, "48000 Hz"), (44_100, 2, "2 channels")])
def test_an_mp3_whose_form_changes_is_refused(tmp_path, rate, channels, words):
    """Its second half would be heard at the wrong speed."""
    loud = np.random.default_rng(0).uniform(-0.5, 0.5, 44_100)
    audio = np.concatenate([loud, 1e-3 * np.sin(np.arange(44_100) / 20)])
    parts = []
    for hertz, count in ((44_100, 1), (rate, channels)):
        samples = np.stack(count * [audio], 1)
        soundfile.write(tmp_path / "a.mp3", samples, hertz, bitrate_mode="VARIABLE", compression_level=0.2)
        parts.append((tmp_path / "a.mp3").read_bytes().replace(b"Xing", b"LAME").replace(b"Info", b"LAME"))
    (tmp_path / "a.mp3").write_bytes(b"".join(parts))
    with pytest.raises(AudioError, match=f"damaged: it goes on at .*{words}"):
        io.read(tmp_path / "a.mp3")
