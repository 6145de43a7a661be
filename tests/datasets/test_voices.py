"""Recordings of voices as a data set: each is followed by its variants, the same ones anywhere."""

import dataclasses
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import soundfile
from singers import sing

from vsep_ray.config import UserError, fingerprint
from vsep_ray.datasets import voices
from vsep_ray.datasets.streams import BadFileError, read_file, whole
from vsep_ray.datasets.track import CropConfig
from vsep_ray.datasets.voices import VoicesConfig

CROP = CropConfig(sample_rate=16_000, channels=1, length=3_000)


@pytest.fixture
def dataset(tmp_path):
    for i, name in enumerate(("a.wav", "set/b.flac", "set/c.wav")):
        (tmp_path / "root" / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "root" / name, sing((55 + i, 60), 0.5, 22_050)[0], 22_050)
    return VoicesConfig(root=str(tmp_path / "root"), variants=2)


def digests(dataset, tracks):
    return {t.id: sha256(whole(dataset.open(t, CROP))["vocals"].tobytes()).hexdigest() for t in tracks}


def test_every_file_is_a_track_of_one_source(dataset):
    (Path(dataset.root) / "._a.wav").write_bytes(b"")
    (Path(dataset.root) / "notes.txt").write_bytes(b"")
    assert [t.id for t in dataset.find()] == ["a", "set/b", "set/c"]
    named = dataclasses.replace(dataset, source="choir").find()
    assert all([s.source for s in t.stems] == ["choir"] for t in named)
    assert not dataset.paired(named)


def test_a_recording_is_followed_by_its_variants(dataset):
    track = dataset.find()[0]
    audio = whole(dataset.open(track, CROP))["vocals"]
    recording = np.concatenate(list(read_file(track.files[0], CROP)), axis=1)
    assert audio.shape == (1, 3 * recording.shape[1])
    first, *others = np.split(audio, 3, axis=1)
    np.testing.assert_array_equal(first, recording)
    for other in others:
        assert 0.5 < np.std(other) / np.std(first) < 2


def test_a_long_recording_comes_in_passages_of_whole_crops(dataset, monkeypatch):
    monkeypatch.setattr(voices, "PASSAGE", 0.3)
    track = dataset.find()[0]
    (recording,) = read_file(track.files[0], dataclasses.replace(CROP, length=10**6))
    audio = whole(dataset.open(track, CROP))["vocals"]
    assert audio.shape[1] == 3 * recording.shape[1]
    np.testing.assert_array_equal(audio[:, :6_000], recording[:, :6_000])  # two crops of 3,000
    np.testing.assert_array_equal(audio[:, 18_000:20_000], recording[:, 6_000:])
    assert not np.array_equal(audio[:, 6_000:12_000], audio[:, 12_000:18_000])


def test_voices_are_the_same_bytes_again_in_another_order_and_in_another_process(dataset):
    tracks = dataset.find()
    first = digests(dataset, tracks)
    assert len(set(first.values())) == 3
    assert digests(dataset, tracks[::-1]) == first
    code = f"""
import sys; sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parent.parent)]}
from test_voices import VoicesConfig, digests
dataset = VoicesConfig(root={dataset.root!r}, variants=2)
print(digests(dataset, dataset.find()))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == str(first)
    assert digests(dataclasses.replace(dataset, seed=1), tracks) != first


def test_a_file_without_a_voice_is_kept_alone(dataset):
    track = dataset.find()[0]
    soundfile.write(track.files[0], np.zeros(8_000), 8_000)
    audio = whole(dataset.open(track, CROP))["vocals"]
    assert audio.shape == (1, 16_000) and not audio.any()


def test_damage_is_a_bad_file(dataset):
    track = dataset.find()[0]
    Path(track.files[0]).write_bytes(b"RIFF no sound at all")
    with pytest.raises(BadFileError) as caught:
        digests(dataset, [track])
    assert caught.value.uri == track.files[0]


def test_an_inventory_has_settings_and_files(dataset):
    def mark(**fields):
        changed = dataclasses.replace(dataset, **fields)
        return fingerprint(changed.inventory(changed.find()).content)

    assert mark() == mark() and mark(seed=1) != mark() and mark(choirs=0.5) != mark()
    size = Path(dataset.find()[0].files[0]).stat().st_size
    assert dataset.inventory(dataset.find()).sizes[0] == 3 * size


def test_a_class_without_a_name_is_refused(dataset):
    with pytest.raises(UserError, match="name of a class"):
        dataclasses.replace(dataset, source="").find()
