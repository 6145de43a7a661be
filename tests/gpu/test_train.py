"""The stage that trains on a lent machine: its crops, its draws and its clock."""

import csv
import dataclasses
import itertools
import json
import time

import numpy as np
import pytest
import torch
from gpu import parcel, songs, train

from vsep_ray.audio import io
from vsep_ray.batches.augment import AugmentConfig
from vsep_ray.datasets.manifest import ManifestConfig
from vsep_ray.datasets.track import CropConfig
from vsep_ray.presets import TRAIN_SEPARATOR
from vsep_ray.separators import SeparatorConfig, SpectrogramUNetConfig

LENGTH = 4_096
CROP = CropConfig(train.RATE, train.CHANNELS, 2 * LENGTH)
BACKBONE = SpectrogramUNetConfig(n_fft=64, hop=32, width=8, blocks=1)
CONFIG = dataclasses.replace(
    TRAIN_SEPARATOR["music"],
    fit=dataclasses.replace(TRAIN_SEPARATOR["music"].fit, batch_size=3, log_every=1, precision="float32"),
    augment=AugmentConfig(gain_db=6, polarity=True),
    separator=SeparatorConfig(backbone=BACKBONE),
    length=LENGTH,
)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A manifest with four clips of noise per source, one of them held out, and a file that is no sound."""
    folder, rng = tmp_path_factory.mktemp("clips"), np.random.default_rng(0)
    with (folder / "clips.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "source", "track", "split"])
        for source, number in itertools.product(songs.SOURCES, range(4)):
            name = f"{source}-{number}.wav"
            io.write(folder / name, rng.uniform(-0.3, 0.3, (2, 4 * LENGTH)).astype(np.float32), train.RATE)
            rows.writerow([name, source, name, "valid" if number == 3 else "train"])
        (folder / "bad.wav").write_bytes(b"RIFF")
        rows.writerow(["bad.wav", "drums", "bad", "train"])
    return folder / "clips.csv"


@pytest.fixture(scope="module")
def found(clips):
    asked = [s for s in songs.songs_of(ManifestConfig(root=str(clips))) if s.track.split == "train"]
    return songs.gather(asked, CROP, 2, float("inf"))


def test_crops_are_what_the_files_hold_and_a_bad_file_is_left_out(found, clips):
    assert {source: len(rows) for source, rows in found.items()} == dict.fromkeys(songs.SOURCES, 6)
    for rows in found.values():
        for row in rows:
            whole, _ = io.read(clips.parent / row.track)
            assert row.member == "manifest"
            wanted = whole[:, row.offset : row.offset + CROP.length]
            pcm = np.frombuffer(row.audio, "<i2").reshape(-1, 2).T
            np.testing.assert_allclose(pcm * row.gain / 32_768, wanted, atol=2**-15)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_step_has_the_same_batch_in_whichever_process_it_is_drawn(found, processes):
    draws = train.Draws(found, CONFIG)
    batches = draws.batches(5, processes, torch.device("cpu"))
    for step, batch in zip(range(5, 9), batches, strict=False):
        assert batch["remix"].shape == (3, len(songs.SOURCES), 2, LENGTH)
        torch.testing.assert_close(batch["remix"], draws[step]["remix"], rtol=0, atol=0)


def trainer(found, out, start):
    draws = train.Draws(found, CONFIG)
    objective, state = train.built(CONFIG, torch.device("cpu"), start)
    batches = (draws[step] for step in itertools.count(state.step))
    valid = draws[0]["remix"]
    return train.Trainer(CONFIG, state, objective, batches, valid, out, {})


def test_training_ends_in_time_at_a_low_rate_and_another_goes_on_from_its_parcel(found, tmp_path):
    first = trainer(found, tmp_path, tmp_path / "none")
    began = time.monotonic()
    first.run(began + 4, decay=0.3)
    assert time.monotonic() < began + 20
    (rate,) = {group["lr"] for group in first.state.optimizer.param_groups}
    assert rate < CONFIG.fit.learning_rate / 2
    about = json.loads((tmp_path / "parcel" / parcel.ABOUT).read_text())
    assert about["counts"]["step"] == first.state.step > 0
    assert about["provenance"]["validation"].keys() == {*songs.SOURCES, "all"}
    second = trainer(found, tmp_path, tmp_path / "parcel")
    assert second.state.step == first.state.step
    second.run(time.monotonic() + 2, decay=0.0)
    assert second.state.step > first.state.step
