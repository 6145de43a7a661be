"""The cases of the benchmark: each measures the system and the bare work inside it, in turns."""

import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vsep_ray.audio import io
from vsep_ray.chunking import fade, overlap_add
from vsep_ray.cluster.separate.settings import Assignment, WorkerSettings
from vsep_ray.cluster.separate.worker import Worker
from vsep_ray.cluster.train.launch import train
from vsep_ray.cluster.train.separator import task_of
from vsep_ray.cluster.train.task import Launch, Task
from vsep_ray.crops.reading import read_crops
from vsep_ray.crops.store import CropStore
from vsep_ray.inference import SeparateFn
from vsep_ray.presets import BenchmarkConfig, ResourcesConfig, TrainSeparatorConfig
from vsep_ray.tracking import Tracker
from vsep_ray.tracking.client import client

MEMORY_RATE = 44_100
"""Hz of the files of the memory case, which are stereo: most of their samples meet no model."""


@dataclass(frozen=True)
class Row:
    """One case.

    Attributes:
        case: its name.
        unit: of both figures.
        system: what was measured of the system.
        bare: what was measured of the work inside it.
        error: largest deviation between the two results (units of the waveform); None where they are random.
        details: further figures, by names with units.
    """

    case: str
    unit: str
    system: float
    bare: float
    error: float | None = None
    details: Mapping[str, float] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """system / bare."""
        return self.system / self.bare

    def to_dict(self) -> dict[str, Any]:
        """As a row of the JSON line, to four digits."""
        figures = {"system": self.system, "bare": self.bare, "ratio": self.ratio, **self.details}
        short = {name: float(f"{value:.4g}") for name, value in figures.items()}
        return {"case": self.case, "unit": self.unit, **short, "error": self.error}

    def markdown(self) -> str:
        """As a row of `table`."""
        details = ", ".join(f"{name} {value:.3g}" for name, value in self.details.items())
        error = "" if self.error is None else f"{self.error:.1e}"
        sides = f"{self.system:.3g} {self.unit} | {self.bare:.3g} {self.unit}"
        return f"| {self.case} | {sides} | {self.ratio:.2f} | {error} | {details} |"


def training(config: BenchmarkConfig, store: CropStore, tracker: Tracker, folder: str) -> Row:
    """Steps per second of one worker of Ray Train that Ray Data feeds, against a plain loop; both on one
    thread."""
    settings = TrainSeparatorConfig(separator=config.separator, fit=config.fit, storage=folder)
    task = task_of(settings, store)
    launch = Launch("benchmark", folder, config.tracking_uri, tracker.run_id, ResourcesConfig(), 1)
    bare = bare_training(task, store)
    started = time.time()
    train(task, launch, f"{folder}/models/trained")
    bare += bare_training(task, store)
    api = client(config.tracking_uri)
    first, *steady = api.get_metric_history(tracker.run_id, "train/steps_per_second")
    waits = api.get_metric_history(tracker.run_id, "train/data_wait")[1:]
    rate = statistics.median(m.value for m in steady)
    start_up = first.timestamp / 1000 - started - first.step / rate
    details = {"start_up_seconds": start_up, "data_wait": statistics.median(m.value for m in waits)}
    return Row("training", "steps/s", rate, statistics.median(bare), None, details)


def bare_training(task: Task, store: CropStore) -> list[float]:
    """Steps per second of a plain loop over resident tensors, window by window but for the first; without
    moving average, clipping and augmentation."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as Ray sets it for a worker
    objective, module = task.build()
    objective.to(device)
    optimizer = torch.optim.Adam(module.parameters(), lr=task.fit.learning_rate)
    clips = [torch.from_numpy(read_crops(store, "train", s).audio).to(device) for s in store.sources]
    rates = []
    for _ in range(task.fit.steps // task.fit.log_every):
        started = time.perf_counter()
        for step in range(task.fit.log_every):
            remix = torch.stack([c[torch.randint(len(c), (task.fit.batch_size,))] for c in clips], 1)
            loss = objective({"remix": remix}, step)["loss"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        loss.item()  # waits for the device
        rates.append(task.fit.log_every / (time.perf_counter() - started))
    torch.set_num_threads(threads)
    return rates[1:]


def memory(config: BenchmarkConfig, settings: WorkerSettings, folder: Path) -> Row:
    """Peak resident memory of a process that separates one file, for the long and the short one."""
    peaks = []
    for minutes in config.minutes:
        path = folder / "long.wav"
        write_noise(path, MEMORY_RATE, 2, 60 * minutes, seed=0)
        # not "spawn": a process that a large one starts inherits its peak through exec
        with ProcessPoolExecutor(1, multiprocessing.get_context("forkserver")) as pool:
            peaks.append(pool.submit(peak_mib, settings, str(path)).result())
    audio_mib = 60 * config.minutes[1] * MEMORY_RATE * 2 * 4 / 2**20
    return Row("memory", "MiB", peaks[1], peaks[0], None, {"audio_of_the_long_file_mib": audio_mib})


def peak_mib(settings: WorkerSettings, path: str) -> float:
    """Separate a file; the most memory that this process has held until then (MiB, as Linux counts)."""
    worker = Worker(settings)
    worker.separate([Assignment("memory", path)])
    assert worker.ledger.read("status")["status"].to_pylist() == ["separated"]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def stitching(config: BenchmarkConfig, worker: Worker) -> Row:
    """Overlap-add of blocks as they come against overlap-add of the whole track."""
    model, grid = worker.model, worker.grid
    mixture = 0.1 * torch.randn(model.channels, round(config.stitched_seconds * model.sample_rate))
    blocks = mixture.split(io.BLOCK, -1)
    sizes = {"chunk": grid.chunk, "hop": grid.hop, "batch_size": grid.batch_size}
    results: dict[str, Tensor] = {}
    seconds = medians(
        config.repeats,
        system=lambda: results.update(a=torch.cat(list(overlap_add(model.separate, blocks, **sizes)), -1)),
        bare=lambda: results.update(b=overlap_add_in_memory(model.separate, mixture, **sizes)),
    )
    error = (results["a"] - results["b"]).abs().max().item()
    return Row("stitching", "s", seconds["system"], seconds["bare"], error)


def overlap_add_in_memory(
    separate: SeparateFn, mixture: Tensor, *, chunk: int, hop: int, batch_size: int
) -> Tensor:
    """sum_i w_i s_i / sum_i w_i over all chunks i of the grid of `vsep_ray.chunking`. Shape: (C, T) ->
    (K, C, T)."""
    length = mixture.shape[-1]
    count = 1 + max(0, -(-(length - chunk) // hop))
    padded = F.pad(mixture, (0, (count - 1) * hop + chunk - length))
    chunks = padded.unfold(-1, chunk, hop).transpose(0, 1)
    sources = torch.cat([separate(batch).cpu() for batch in chunks.split(batch_size)])
    weights = fade(chunk, hop)
    total, norm = torch.zeros(*sources.shape[1:3], padded.shape[-1]), torch.zeros(padded.shape[-1])
    for i, source in enumerate(sources):
        total[..., i * hop : i * hop + chunk] += weights * source
        norm[i * hop : i * hop + chunk] += weights
    return (total / norm)[..., :length]


def medians(repeats: int, **calls: Callable[[], Any]) -> dict[str, float]:
    """Seconds of each call: the median of some rounds, in which they take turns, after one that warms up."""
    for call in calls.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def write_noise(path: Path, rate: int, channels: int, seconds: float, seed: int) -> None:
    """A 16-bit wav file of white noise."""
    rng = np.random.default_rng(seed)
    left = round(seconds * rate)
    with io.open_writer(path, rate, channels, subtype="16") as append:
        while left > 0:
            append(rng.uniform(-0.3, 0.3, (channels, min(left, io.BLOCK))).astype(np.float32))
            left -= io.BLOCK
