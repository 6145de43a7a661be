"""Some cases of the benchmark are about data: a crop store is written, and batches are read from it."""

import functools
import itertools
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from vsep_ray.audio import io
from vsep_ray.audio.resampling import Audio, map_channels, rechunk, resample
from vsep_ray.batches.augment import AugmentConfig
from vsep_ray.batches.remixing import draw_remix
from vsep_ray.batches.windows import Window
from vsep_ray.cluster.benchmark.cases import RATE, Row, medians, peaks
from vsep_ray.cluster.prepare_crops import prepare
from vsep_ray.cluster.train.task import StreamSpec
from vsep_ray.crops.encoding import encode
from vsep_ray.crops.store import CropStore
from vsep_ray.crops.writing import Unit, write_unit
from vsep_ray.datasets.manifest import ManifestConfig
from vsep_ray.datasets.musdb import SOURCES
from vsep_ray.datasets.streams import open_stems
from vsep_ray.datasets.track import CropConfig, Stem, Track
from vsep_ray.evaluation.bsseval import require_ffmpeg
from vsep_ray.presets import BenchmarkConfig, PrepareCropsConfig

STORED = CropConfig(sample_rate=16_000, channels=1, length=32_768)
"""The writing case has these crops."""
BATCH = 16
"""A batch of the reading case has this number of mixtures."""


def writing(config: BenchmarkConfig, folder: Path) -> Row:
    """Puts FLAC files into a crop store, against decoding, resampling and encoding alone in bare
    processes."""
    files = list((folder / "flac").rglob("*.flac")) * config.copies
    recipe = _recipe(folder, "written", STORED, fresh=True)
    cores = os.cpu_count() or 1
    with ProcessPoolExecutor(cores, multiprocessing.get_context("forkserver")) as pool:
        seconds = medians(
            config.repeats,
            system=lambda: prepare(recipe),
            bare=lambda: list(pool.map(_bare, files, chunksize=4)),
        )
    audio = len(files) * config.track_seconds
    details = {"realtime_factor": audio / seconds["system"], "bare_realtime_factor": audio / seconds["bare"]}
    return Row("writing", "s", seconds["system"], seconds["bare"], details)


def _bare(path: Path) -> int:
    audio, rate = io.read(path)
    resampled = resample(map_channels(audio, STORED.channels), rate, STORED.sample_rate)
    crops = np.stack([c for c in rechunk([resampled], STORED.length) if c.shape[1] == STORED.length])
    return sum(len(item.tobytes()) for item in encode(crops)[0])


def reading(config: BenchmarkConfig, folder: Path) -> Row:
    """Remixes a training batch from a store that flows through Ray Data, against decoding it by musdb.

    musdb reads ``.stem.mp4`` files.
    """
    store = CropStore.open(str(folder / "store"))
    windows = [_window(store, source) for source in store.sources]
    rng = np.random.default_rng(0)
    seconds = medians(
        config.repeats,
        system=lambda: draw_remix(windows, rng, BATCH, AugmentConfig(), store.sample_rate),
        bare=lambda: _stem_batch(folder, rng),
    )
    return Row("reading", "s", seconds["system"], seconds["bare"])


def _window(store: CropStore, source: str) -> Window:
    dataset = StreamSpec(store, "train", source).dataset()
    half = max(1, store.statistics[source].crops // 2)
    return Window(lambda: dataset.iter_batches(batch_size=64, batch_format="numpy"), half, 0, store.channels)


def _stem_batch(folder: Path, rng: np.random.Generator) -> list[Audio]:
    import musdb as package

    paths = sorted((folder / "musdb" / "train").iterdir())
    batch = []
    for k in range(BATCH * len(SOURCES)):
        path = paths[rng.integers(len(paths))]
        track = package.MultiTrack(path=str(path), name=path.name, stem_id=1 + k % len(SOURCES), is_wav=False)
        track.chunk_start, track.chunk_duration = float(rng.uniform(0, 1)), 1.0
        batch.append(track.audio.T.astype(np.float32))
    return batch


def preparing(config: BenchmarkConfig, folder: Path) -> Row:
    """Measures the peak memory of a process that cuts one stereo file, for the long and the short one."""
    path = folder / "clips" / "drums" / "long.wav"
    return peaks("preparing", config, path, functools.partial(_cut, str(folder / "cut")))


def _cut(output: str, path: str) -> None:
    crop = CropConfig(RATE, 2, 6 * RATE)
    store = CropStore(output, "sources", RATE, 2, crop.length, ("drums",), (1.0,), False, "benchmark")
    track = Track("long", stems=(Stem("drums", (path,)),), split="train")
    write_unit(store, Unit("0", "train", (track,)), functools.partial(open_stems, crop=crop))


def make_music(config: BenchmarkConfig, folder: Path) -> None:
    """Makes tracks of four sources at 44.1 kHz, stereo, as FLAC and ``.stem.mp4``, and a store of their
    crops.

    Raises:
        UserError: ffmpeg is missing.
    """
    require_ffmpeg("the benchmark's stem files need")
    import stempeg

    (folder / "musdb" / "train").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(config.tracks):
        stems = [_notes(rng, config.track_seconds) for _ in SOURCES]
        (folder / "flac" / f"track {i}").mkdir(parents=True)
        for source, stem in zip(SOURCES, stems, strict=True):
            path = folder / "flac" / f"track {i}" / f"{source}.flac"
            io.write(path, stem, RATE, format="flac", subtype="16")
        streams = np.stack([sum(stems), *stems]).swapaxes(1, 2)
        path = folder / "musdb" / "train" / f"track - {i}.stem.mp4"
        stempeg.write_stems(str(path), streams, sample_rate=RATE, writer=stempeg.StreamsWriter())
    rows = ["path,source,track"]
    for i, copy in itertools.product(range(config.tracks), range(config.copies)):
        rows += [f"flac/track {i}/{s}.flac,{s},track {i} {copy}" for s in SOURCES]
    (folder / "flac.csv").write_text("\n".join(rows))
    prepare(_recipe(folder, "store", CropConfig(RATE, 2, RATE), valid_fraction=0.0))


def _recipe(folder: Path, output: str, crop: CropConfig, **more: Any) -> PrepareCropsConfig:
    dataset = ManifestConfig(str(folder / "flac.csv"))
    return PrepareCropsConfig(dataset=dataset, output=str(folder / output), crop=crop, **more)


def _notes(rng: np.random.Generator, seconds: float) -> Audio:
    """Returns half-second notes of eight decaying harmonics, and some noise, in stereo."""
    notes = [_note(rng) for _ in range(int(np.ceil(2 * seconds)))]
    signal = np.concatenate(notes)[: round(seconds * RATE)]
    signal = signal + 1e-3 * rng.standard_normal(len(signal))
    return np.stack([signal, 0.7 * signal]).astype(np.float32)


def _note(rng: np.random.Generator) -> np.ndarray:
    t = np.arange(RATE // 2) / RATE
    pitch = 110 * 2 ** (rng.integers(0, 36) / 12)
    partials: Iterator[np.ndarray] = (
        np.sin(2 * np.pi * n * pitch * t + rng.uniform(0, 6)) / n for n in range(1, 9)
    )
    return 0.1 * np.exp(-4 * t) * sum(partials)
