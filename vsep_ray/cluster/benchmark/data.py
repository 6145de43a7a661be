"""The cases of the benchmark about data: a crop store is written, and batches are read from it."""

import functools
import itertools
import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow.parquet as pq

from vsep_ray.audio import io
from vsep_ray.audio.resampling import Audio, map_channels, rechunk, resample
from vsep_ray.cluster.benchmark.cases import Row, medians, write_noise
from vsep_ray.cluster.prepare_crops import prepare
from vsep_ray.cluster.train.streams import crop_dataset
from vsep_ray.crops.batches import AugmentConfig, Window, draw_remix
from vsep_ray.crops.encoding import encode
from vsep_ray.crops.reading import read_part
from vsep_ray.crops.store import COMPRESSION, CropStore, to_table
from vsep_ray.crops.writing import Unit, write_unit
from vsep_ray.datasets.manifest import ManifestConfig
from vsep_ray.datasets.musdb import SOURCES
from vsep_ray.datasets.streams import open_stems
from vsep_ray.datasets.track import CropConfig, Encoding, Stem, Track
from vsep_ray.evaluation.bsseval import require_ffmpeg
from vsep_ray.presets import BenchmarkConfig, PrepareCropsConfig

RATE = 44_100
FORMATS = ("wav", "flac", "mp3")
STORED = CropConfig(sample_rate=16_000, channels=1, length=32_768)
"""Crops of the writing case."""
BATCH = 16
"""Mixtures in a batch of the reading case."""


def writing(config: BenchmarkConfig, folder: Path) -> Row:
    """FLAC files into a crop store, against decoding, resampling and encoding alone in as many processes."""
    files = list((folder / "flac").rglob("*.flac")) * config.copies
    recipe = PrepareCropsConfig(
        dataset=ManifestConfig(str(folder / "flac.csv")),
        output=str(folder / "written"),
        crop=STORED,
        fresh=True,
    )
    cores = os.cpu_count() or 1
    with ProcessPoolExecutor(cores, multiprocessing.get_context("forkserver")) as pool:
        seconds = medians(
            config.repeats,
            system=lambda: prepare(recipe),
            bare=lambda: list(pool.map(_bare, files, chunksize=4)),
        )
    audio = len(files) * config.track_seconds
    details = {"realtime_factor": audio / seconds["system"], "bare_realtime_factor": audio / seconds["bare"]}
    return Row("writing", "s", seconds["system"], seconds["bare"], None, details)


def _bare(path: Path) -> int:
    audio, rate = io.read(path)
    resampled = resample(map_channels(audio, STORED.channels), rate, STORED.sample_rate)
    crops = np.stack([c for c in rechunk([resampled], STORED.length) if c.shape[1] == STORED.length])
    return sum(len(item.tobytes()) for item in encode(crops)[0])


def codecs(config: BenchmarkConfig, folder: Path) -> Row:
    """Bytes of the same crops as FLAC and as PCM, and the seconds of work per hour of audio on one core."""
    audio, _ = io.read(next((folder / "wav").rglob("*.wav")))
    crop = CropConfig(RATE, 2, min(6 * RATE, audio.shape[1]))
    crops = np.stack([c for c in rechunk([audio], crop.length) if c.shape[1] == crop.length])
    hours = crops.shape[0] * crop.length / RATE / 3_600
    store = CropStore.open(str(folder / "store"))
    sizes: dict[str, float] = {}
    details: dict[str, float] = {}
    for encoding in get_args(Encoding):
        path = Path(store.partition("codec", encoding), "part.parquet")
        path.parent.mkdir(parents=True)
        form, stored = replace(crop, encoding=encoding), replace(store, encoding=encoding)
        seconds = medians(
            config.repeats,
            encode=functools.partial(_write, path, crops, form),
            decode=functools.partial(read_part, stored, "codec", encoding, path.name),
        )
        sizes[encoding] = path.stat().st_size / 2**20
        details |= {f"{encoding}_{name}_seconds_per_hour": s / hours for name, s in seconds.items()}
    return Row("flac", "MiB", sizes["flac"], sizes["pcm"], None, details)


def _write(path: Path, crops: np.ndarray, crop: CropConfig) -> None:
    table = to_table(["song"] * len(crops), list(range(len(crops))), crops, crop)
    pq.write_table(table, path, compression=COMPRESSION[crop.encoding])


def reading(config: BenchmarkConfig, folder: Path) -> Row:
    """A training batch, remixed from a store that flows through Ray Data, against decoding its crops from
    ``.stem.mp4`` files by musdb; and from other files, which can be read from the middle."""
    store = CropStore.open(str(folder / "store"))
    windows = [_window(store, source) for source in store.sources]
    rng = np.random.default_rng(0)
    system = functools.partial(draw_remix, windows, rng, BATCH, AugmentConfig())
    system()
    seconds = {"system": _per_call(system, 10)}
    seconds["stem_mp4"] = _per_call(functools.partial(_stem_batch, folder, rng), 1)
    for ending in FORMATS:
        seconds[ending] = _per_call(functools.partial(_file_batch, folder / ending, ending, rng), 3)
    details = {f"{e}_seconds": seconds[e] for e in FORMATS}
    details |= {f"times_as_fast_as_{e}": seconds[e] / seconds["system"] for e in ("stem_mp4", *FORMATS)}
    return Row("reading", "s", seconds["system"], seconds["stem_mp4"], None, details)


def _window(store: CropStore, source: str) -> Window:
    dataset = crop_dataset(store, "train", source)
    half = max(1, store.statistics[source].crops // 2)
    return Window(lambda: dataset.iter_batches(batch_size=64, batch_format="numpy"), half, 0, store.channels)


def _per_call(call: Callable[[], object], times: int) -> float:
    started = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - started) / times


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


def _file_batch(folder: Path, ending: str, rng: np.random.Generator) -> list[Audio]:
    import soundfile

    tracks = sorted(folder.iterdir())
    batch = []
    for k in range(BATCH * len(SOURCES)):
        path = tracks[rng.integers(len(tracks))] / f"{SOURCES[k % len(SOURCES)]}.{ending}"
        with soundfile.SoundFile(path) as file:
            file.seek(int(rng.integers(file.frames - RATE)))
            batch.append(file.read(RATE, dtype="float32", always_2d=True).T)
    return batch


def preparing(config: BenchmarkConfig, folder: Path) -> Row:
    """Peak resident memory of a process that cuts one stereo file, for the long and the short one."""
    peaks = []
    for minutes in config.minutes:
        path = folder / "clips" / "drums" / "long.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_noise(path, RATE, 2, 60 * minutes, seed=0)
        with ProcessPoolExecutor(1, multiprocessing.get_context("forkserver")) as pool:
            peaks.append(pool.submit(_peak_mib, str(path), str(folder / "cut")).result())
    return Row("preparing", "MiB", peaks[1], peaks[0])


def _peak_mib(path: str, output: str) -> float:
    """Cut a file; the most memory that this process has held until then (MiB, as Linux counts)."""
    crop = CropConfig(RATE, 2, 6 * RATE)
    store = CropStore(output, "sources", RATE, 2, crop.length, ("drums",), (1.0,), False, "benchmark")
    track = Track("long", stems=(Stem("drums", (path,)),), split="train")
    write_unit(store, Unit("0", "train", (track,)), functools.partial(open_stems, crop=crop))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def make_music(config: BenchmarkConfig, folder: Path) -> None:
    """Tracks of four sources at 44.1 kHz, stereo, as wav, FLAC, MP3 and ``.stem.mp4``, and a store of their
    crops of one second.

    Raises:
        UserError: ffmpeg is missing.
    """
    require_ffmpeg("the benchmark's stem files need")
    import stempeg

    (folder / "musdb" / "train").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(config.tracks):
        stems = [_notes(rng, config.track_seconds) for _ in SOURCES]
        for ending in FORMATS:
            for source, stem in zip(SOURCES, stems, strict=True):
                path = folder / ending / f"track {i}" / f"{source}.{ending}"
                path.parent.mkdir(parents=True, exist_ok=True)
                io.write(path, stem, RATE, format=ending, subtype="auto" if ending == "mp3" else "16")
        streams = np.stack([sum(stems), *stems]).swapaxes(1, 2)
        path = folder / "musdb" / "train" / f"track - {i}.stem.mp4"
        stempeg.write_stems(str(path), streams, sample_rate=RATE, writer=stempeg.StreamsWriter())
    crop = CropConfig(RATE, 2, RATE)
    for ending in ("wav", "flac"):
        _write_manifest(config, folder, ending)
    recipe = PrepareCropsConfig(
        dataset=ManifestConfig(str(folder / "wav.csv")),
        output=str(folder / "store"),
        crop=crop,
        valid_fraction=0.0,
    )
    prepare(recipe)


def _write_manifest(config: BenchmarkConfig, folder: Path, ending: str) -> None:
    rows = ["path,source,track"]
    for i, copy in itertools.product(range(config.tracks), range(config.copies)):
        rows += [f"{ending}/track {i}/{s}.{ending},{s},track {i} {copy}" for s in SOURCES]
    (folder / f"{ending}.csv").write_text("\n".join(rows))


def _notes(rng: np.random.Generator, seconds: float) -> Audio:
    """Half-second notes of eight decaying harmonics, and some noise; stereo."""
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
