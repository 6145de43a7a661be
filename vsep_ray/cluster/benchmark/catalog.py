"""Some cases of the benchmark are about bulk separation: the whole job, on many songs and on a million
rows."""

import multiprocessing
import os
import resource
import shutil
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import ray
import soundfile
import torch
from torch.nn import functional as F

from vsep_ray import storage
from vsep_ray.audio import io
from vsep_ray.audio.formats import FORMATS, libsndfile_subtype
from vsep_ray.audio.resampling import map_channels, resample
from vsep_ray.catalog.ledger import Ledger, LedgerRow
from vsep_ray.chunking import chunks_of
from vsep_ray.cluster.benchmark.cases import Row
from vsep_ray.cluster.runtime.session import MALLOC, start_ray
from vsep_ray.cluster.separate import job as separate
from vsep_ray.cluster.separate.settings import Assignment, WorkerSettings, row_of
from vsep_ray.cluster.separate.worker import Worker
from vsep_ray.presets import BenchmarkConfig, SeparateCatalogConfig

RATE_FLOOR = 2_000.0
"""A job must plan, commit and compact this number of catalog rows per second."""


class Idle(Worker):
    """This worker says of every assignment that it is done, and does nothing."""

    def rows(self, assignments: Sequence[Assignment]) -> Generator[LedgerRow, None, None]:
        """Yields a row for each assignment, as of a silent track without stems."""
        for assignment in assignments:
            yield replace(
                row_of(assignment, self.settings, "separated"),
                audio_seconds=1.0,
                sample_rate=8_000,
                channels=1,
            )


def songs(config: BenchmarkConfig, music: Path, catalog: Path) -> None:
    """Makes a catalog of the benchmark's FLAC files, each under as many names as there are copies."""
    for copy in range(config.catalog_copies):
        for path in sorted((music / "flac").rglob("*.flac")):
            link = catalog / str(copy) / path.parent.name / path.name
            link.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, link)


def separation(settings: WorkerSettings, cores: int, repeats: int) -> Row:
    """Measures the whole job on all cores, in turns with its parts in as many bare processes.

    The parts are to decode, resample, run the model on audio in memory, resample back, and encode the samples
    that the job has written.
    """
    turns = [(run_job(settings.config, cores), _parts(settings, cores)) for _ in range(repeats)]
    runs, parts = zip(*turns, strict=True)
    system = sorted(runs, key=lambda run: run.seconds)[repeats // 2]  # medians
    bare = sorted(parts, key=lambda part: sum(part.values()))[repeats // 2]
    details = {f"{name}_seconds": value for name, value in bare.items()}
    details |= {"realtime_factor": system.audio / system.seconds, "start_up_seconds": system.start_up}
    return Row("separation", "s", system.seconds, sum(bare.values()), details)


def scaling(job: SeparateCatalogConfig) -> Row:
    """Measures two actors on two cores, then one actor on one, with all the rest of the job on the same."""
    two, one = (run_job(job, cores) for cores in (2, 1))
    return Row("scaling", "x real time", two.audio / two.seconds, one.audio / one.seconds)


def ledger(config: BenchmarkConfig, job: SeparateCatalogConfig, folder: Path) -> Row:
    """Measures how very many rows are planned, committed and compacted, by workers that do nothing.

    The driver is a process of its own, whose peak memory is measured.
    """
    catalog = folder / "rows.parquet"
    paths = [f"album {i // 12}/song {i % 12}.flac" for i in range(config.catalog_rows)]
    pq.write_table(pa.table({"path": paths}), catalog)
    many = replace(job, catalog=str(catalog), output=str(folder / "rows"), listening_tracks=0, max_alike=0)
    # a process that has held nothing before, with glibc's defaults as the driver of a job has them (128 KiB;
    # as many arenas as it wants)
    plain = {name: str(128 << 10) for name in MALLOC}
    options: Any = {"num_cpus": 0, "max_calls": 1, "runtime_env": {"env_vars": plain}}
    driver: Any = ray.remote(**options)(_drive)
    first, again = ray.get(driver.remote(many))
    details = {
        "driver_mib": first["mib"],
        "seconds": first["seconds"],
        "seconds_of_a_second_run": again["seconds"],
        "driver_mib_of_a_second_run": again["mib"],
    }
    return Row("ledger", "rows/s", len(paths) / first["seconds"], RATE_FLOOR, details)


def _drive(job: SeparateCatalogConfig) -> tuple[dict[str, float], dict[str, float]]:
    """Runs the job, and once more when nothing is left to do; returns seconds and peak memory (MiB) of
    both."""
    found = []
    for expected in ("separated", "skipped"):
        started = time.perf_counter()
        figures = separate.run(job, Idle)
        assert figures[expected] == figures["tracks"], figures
        mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        found.append({"seconds": time.perf_counter() - started, "mib": mib})
    return found[0], found[1]


@dataclass(frozen=True)
class Run:
    """A run has seconds from the first track to the last, and seconds before and after."""

    audio: float
    seconds: float
    start_up: float


def run_job(job: SeparateCatalogConfig, cores: int) -> Run:
    """Runs the whole job in a cluster of its own, on some cores alone, into an empty folder.

    Ray, driver and an actor per core share the cores. To free the blocks of other stems would be work for the
    disk.
    """
    shutil.rmtree(job.output, ignore_errors=True)
    os.sync()
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_run_job, job, cores).result()


def _run_job(job: SeparateCatalogConfig, cores: int) -> Run:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])  # all that starts later inherits it
    start_ray(address="local", num_cpus=cores)
    began = time.perf_counter()
    figures = separate.run(replace(job, num_actors=cores))
    total = time.perf_counter() - began
    assert figures["separated"] == figures["tracks"], figures
    table = Ledger(figures["output"]).read()
    start = pc.min(pc.subtract(table["time"], table["wall_seconds"])).as_py()
    seconds = pc.max(table["time"]).as_py() - start
    return Run(figures["audio_seconds"], seconds, total - seconds)


def _parts(settings: WorkerSettings, cores: int) -> dict[str, float]:
    """Returns the CPU seconds of each part of the work, of the bare process that took longest."""
    songs = sorted(Path(settings.config.catalog).rglob("*.flac"))
    shares = [songs[i::cores] for i in range(cores)]
    with ProcessPoolExecutor(cores, multiprocessing.get_context("forkserver")) as pool:
        list(pool.map(_bare, shares, [settings] * cores, [1] * cores))  # imports, first pass
        parts = list(pool.map(_bare, shares, [settings] * cores, [len(songs)] * cores))
    return max(parts, key=lambda part: sum(part.values()))


def _bare(paths: Sequence[Path], settings: WorkerSettings, count: int) -> dict[str, float]:
    """Returns the seconds of each part of the work on some files, on one thread."""
    torch.set_num_threads(1)  # as Ray sets it for a worker
    worker = Worker(settings)
    seconds: dict[str, float] = {}
    for i, path in enumerate(paths[:count]):
        _bare_file(worker, path, worker.staging.folder / str(i), seconds)
    worker.staging.close()
    return seconds


def _bare_file(worker: Worker, path: Path, target: Path, seconds: dict[str, float]) -> None:
    def timed(name: str, call: Any) -> Any:
        started = time.process_time()
        result = call()
        seconds[name] = seconds.get(name, 0.0) + time.process_time() - started
        return result

    job, model, grid = worker.settings.config, worker.model, worker.grid
    audio, rate = timed("decode", lambda: io.read(path))
    mixture = timed(
        "resample", lambda: resample(map_channels(audio, model.channels), rate, model.sample_rate)
    )
    chunks = chunks_of([torch.from_numpy(mixture)], grid.chunk, grid.hop)
    padded = torch.stack([F.pad(chunk, (0, grid.chunk - chunk.shape[-1])) for chunk in chunks])
    batches = padded.split(grid.batch_size)  # the last one smaller
    outputs = timed("model", lambda: [model.separate(batch).cpu() for batch in batches])
    shares = torch.cat(outputs)[..., : grid.hop].permute(1, 2, 0, 3).flatten(2)  # no stitching here
    flat = shares.flatten(0, 1).numpy()[:, : mixture.shape[1]]
    timed("resample", lambda: resample(flat, model.sample_rate, rate))
    folder = Path(job.output, path.relative_to(job.catalog)).with_suffix("")  # what the job has made of it
    written = [folder / f"{name}.{job.format}" for name in worker.selection.stems]
    stems = [soundfile.read(stem, dtype="float32", always_2d=True)[0] for stem in written]
    timed("encode", lambda: _encode(target, stems, rate, job.format, job.subtype))


def _encode(folder: Path, stems: Sequence[np.ndarray], rate: int, format: str, subtype: str) -> None:
    """Encodes floats (n, C), as a model gives them, into files by libsndfile alone."""
    folder.mkdir()
    container, name = FORMATS[format].container, libsndfile_subtype(format, subtype)
    for k, stem in enumerate(stems):
        path = folder / f"{k}.{format}"
        soundfile.write(path, stem, rate, name, format=container)
        storage.publish(path, str(path))  # on the disk, as the job's stems, and new there as they are
