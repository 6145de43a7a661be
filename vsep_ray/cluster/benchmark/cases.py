"""Each case of the benchmark measures the system and the bare work inside it, in turns."""

import functools
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vsep_ray.audio import io
from vsep_ray.cluster.separate.settings import Assignment, WorkerSettings
from vsep_ray.cluster.separate.worker import Worker
from vsep_ray.cluster.train.launch import train
from vsep_ray.cluster.train.separator import task_of
from vsep_ray.cluster.train.task import Launch, Task
from vsep_ray.crops.reading import read_crops
from vsep_ray.crops.store import CropStore
from vsep_ray.presets import BenchmarkConfig, ResourcesConfig, TrainSeparatorConfig
from vsep_ray.tracking import Tracker
from vsep_ray.tracking.client import client

RATE = 44_100
"""The benchmark's music has this rate in Hz, and is stereo: most of its samples meet no model."""


@dataclass(frozen=True)
class Row:
    """A row is one case.

    Attributes:
        case: the case's name.
        unit: the unit of both figures.
        system: what was measured of the system.
        bare: what was measured of the work inside it.
        details: further figures, by names with units.
    """

    case: str
    unit: str
    system: float
    bare: float
    details: Mapping[str, float] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """How the system compares with the bare work: system / bare."""
        return self.system / self.bare

    def to_dict(self) -> dict[str, Any]:
        """Returns the row as it is in the JSON line, to four digits."""
        figures = {"system": self.system, "bare": self.bare, "ratio": self.ratio, **self.details}
        return {"case": self.case, "unit": self.unit, **{k: float(f"{v:.4g}") for k, v in figures.items()}}

    def markdown(self) -> str:
        """Returns the row as it is in `table`."""
        details = ", ".join(f"{name} {value:.3g}" for name, value in self.details.items())
        sides = f"{self.system:.3g} {self.unit} | {self.bare:.3g} {self.unit}"
        return f"| {self.case} | {sides} | {self.ratio:.2f} | {details} |"


def training(config: BenchmarkConfig, store: CropStore, tracker: Tracker, folder: str) -> Row:
    """Measures steps per second of one worker of Ray Train that Ray Data feeds, against a plain loop."""
    task = task_of(TrainSeparatorConfig(separator=config.separator, fit=config.fit, storage=folder), store)
    launch = Launch(
        "benchmark", folder, config.tracking_uri, tracker.run_id, ResourcesConfig(), 1, "benchmark"
    )
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
    return Row("training", "steps/s", rate, statistics.median(bare), details)


def bare_training(task: Task, store: CropStore) -> list[float]:
    """Returns steps per second of a plain loop over resident tensors, window by window but for the first.

    It has no moving average, clipping or augmentation.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as Ray sets it for a worker
    objective, module = task.build()
    objective.to(device)
    optimizer = torch.optim.Adam(module.parameters(), lr=task.fit.learning_rate, fused=True)
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
    """Measures the peak memory of a process that separates one file, for the long and the short one."""
    return peaks("memory", config, folder / "long.wav", functools.partial(_separate, settings))


def _separate(settings: WorkerSettings, path: str) -> None:
    worker = Worker(replace(settings, output=f"{path}.stems"))
    worker.separate([Assignment("memory", path)])
    assert worker.ledger.read("status")["status"].to_pylist() == ["separated"]


def peaks(case: str, config: BenchmarkConfig, path: Path, do: Callable[[str], None]) -> Row:
    """Measures the most memory that a process holds which works on one file, for the long and the short
    one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    found = []
    for minutes in config.minutes:
        _write_noise(path, 60 * minutes)
        # not "spawn": a process that a large one starts inherits its peak through exec
        with ProcessPoolExecutor(1, multiprocessing.get_context("forkserver")) as pool:
            found.append(pool.submit(_peak_mib, do, str(path)).result())
    audio_mib = 60 * config.minutes[1] * RATE * 2 * 4 / 2**20
    return Row(case, "MiB", found[1], found[0], {"audio_of_the_long_file_mib": audio_mib})


def _peak_mib(do: Callable[[str], None], path: str) -> float:
    """Returns the most memory that this process has held when the work is done (MiB, as Linux counts)."""
    do(path)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _write_noise(path: Path, seconds: float) -> None:
    """Writes a 16-bit stereo wav file of white noise, in whole blocks."""
    rng = np.random.default_rng(0)
    with io.open_writer(path, RATE, 2, subtype="16") as append:
        for _ in range(-(-round(seconds * RATE) // io.BLOCK)):
            append(rng.uniform(-0.3, 0.3, (2, io.BLOCK)).astype(np.float32))


def medians(repeats: int, **calls: Callable[[], Any]) -> dict[str, float]:
    """Returns the seconds of each call: the median of some rounds in turns, after one that warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(1 + repeats):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values[1:]) for name, values in seconds.items()}
