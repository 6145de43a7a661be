"""Stems on disk: one gain, integers that sum to the bit, wav files beyond 4 GiB."""

import numpy as np
import pytest
import soundfile
import torch

from vsep_ray.audio import io
from vsep_ray.streaming import Chunking, Model, Selection, encode, separate_files


def thirds(mixture):
    """Three stems that are not small, and do not sum to the mixture."""
    return torch.stack([mixture.roll(7, -1), -0.9 * mixture.flip(-1), 0.3 * mixture], 1)


def quarters(mixture):
    """Four stems, likewise."""
    return torch.cat([thirds(mixture), 0.2 * mixture.roll(3, -1)[:, None]], 1)


def written(folder, audio, format, subtype, wanted=(), rate=8000, sources=("a", "b", "c")):
    """Separate audio and write its stems: the gain, and the files as integers of 32 bits."""
    io.write(folder / "song.wav", audio, rate, subtype="24")
    model = Model(thirds if len(sources) == 3 else quarters, sources, 8000, 1)
    (stems,) = separate_files(
        [str(folder / "song.wav")], model, Chunking(2000, 1500, 2), Selection.of(sources, wanted), format
    )
    paths = [folder / name for name in stems.selection.stems]
    factor = encode(stems, paths, format, subtype, [{} for _ in paths])
    return factor, [soundfile.read(path, dtype="int32", always_2d=True)[0] for path in paths]


def noise(level, channels=1, length=70_003):
    return (level * np.random.default_rng(0).uniform(-1, 1, (channels, length))).astype(np.float32)


@pytest.mark.parametrize(("format", "bits"), [("wav", 16), ("wav", 24), ("flac", 16), ("flac", 24)])
@pytest.mark.parametrize("wanted", [(), ("b", "rest"), ("c", "a", "b", "rest")])
@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (96_000, 6)])
def test_integers_sum_to_the_mixture_to_the_bit(tmp_path, format, bits, wanted, rate, channels):
    audio = noise(0.2, channels)
    factor, stems = written(tmp_path, audio, format, str(bits), wanted, rate)
    assert factor == 1
    mixture = np.rint(soundfile.read(tmp_path / "song.wav", always_2d=True)[0] * 2 ** (bits - 1))
    total = sum(stem.astype(np.int64) >> (32 - bits) for stem in stems)
    assert np.array_equal(total, mixture.astype(np.int64))


def test_guitar_and_piano_are_added_to_other_to_the_bit(tmp_path):
    named = {"sources": ("guitar", "other", "piano", "vocals")}
    guitar, other, piano, vocals = written(tmp_path, noise(0.2, 2), "flac", "24", ("six",), **named)[1]
    four = written(tmp_path, noise(0.2, 2), "flac", "24", ("four",), **named)[1]
    assert len(four) == 2 and np.array_equal(four[0], guitar + other + piano)
    assert np.array_equal(four[1], vocals)


@pytest.mark.parametrize(("format", "bits"), [("wav", 16), ("flac", 24)])
def test_one_common_gain_where_a_format_would_clip(tmp_path, format, bits):
    audio = noise(1.0)
    audio[:, 100:200] = 1 - 2.0**-23  # full scale, where every rounding matters
    factor, stems = written(tmp_path, audio, format, str(bits))
    peak = max(np.abs(stem.astype(np.int64)).max() for stem in stems) >> (32 - bits)
    assert 0.3 < factor < 1 and abs(peak - (2 ** (bits - 1) - 1)) <= 2
    total = sum(stem.astype(np.int64) >> (32 - bits) for stem in stems)
    exact = soundfile.read(tmp_path / "song.wav", always_2d=True)[0]
    assert np.array_equal(total, np.rint(factor * exact * 2 ** (bits - 1)).astype(np.int64))


def test_floats_need_no_gain(tmp_path):
    factor, _ = written(tmp_path, noise(1.0), "wav", "float")
    stems = [io.read(tmp_path / name)[0] for name in "abc"]
    assert factor == 1 and max(np.abs(stem).max() for stem in stems) > 1
    assert np.abs(sum(stems) - io.read(tmp_path / "song.wav")[0]).max() < 1e-6


def test_some_stems_are_the_same_as_among_all(tmp_path):
    everything = dict(zip("abc", written(tmp_path, noise(0.2), "flac", "24")[1], strict=True))
    _, (c, a) = written(tmp_path, noise(0.2), "flac", "24", ("c", "a"))
    assert np.abs(c - everything["c"]).max() <= 2 * 2**8 and np.abs(a - everything["a"]).max() <= 2 * 2**8


def test_a_wav_file_that_would_pass_4_gib_is_an_rf64(tmp_path, monkeypatch):
    monkeypatch.setattr(io, "LARGEST_WAV", 1000)
    with io.open_writer(tmp_path / "long", 8000, 1, length=300, tags={"title": "é"}) as append:
        append(noise(0.1, length=300))
    info = io.probe(tmp_path / "long")
    assert (info.length, info.tags["title"]) == (300, "é")
    assert soundfile.info(tmp_path / "long").format == "RF64"
    with io.open_writer(tmp_path / "again", 8000, 1, length=300, tags={"title": "é"}) as append:
        append(noise(0.1, length=300))
    content = (tmp_path / "long").read_bytes()
    assert content == (tmp_path / "again").read_bytes()
    assert b"PEAK" not in content  # where libsndfile puts the clock in other wav files
