"""How busy one worker of a catalog keeps its device, from files to stems.

Nothing here needs Ray: ``python -m vsep_ray.cluster.benchmark.busy`` prints a line on a bare machine.
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from vsep_ray import checkpoint
from vsep_ray.audio import io
from vsep_ray.cluster.separate.settings import Assignment, WorkerSettings
from vsep_ray.cluster.separate.worker import Worker
from vsep_ray.presets import SEPARATE_CATALOG, TRAIN_SEPARATOR
from vsep_ray.separators import Separator

RATE = 44_100
PERIOD_MS = 100


@contextlib.contextmanager
def utilisation() -> Iterator[list[float]]:
    """Yields a list which has, after the block, the shares of time (%) in which the GPU ran a kernel."""
    shares: list[float] = []
    command = [
        "nvidia-smi",
        "--query-gpu=utilization.gpu",
        "--format=csv,noheader,nounits",
        f"-lms={PERIOD_MS}",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sampler:
        try:
            yield shares
        finally:
            sampler.terminate()
            shares += map(float, sampler.stdout or ())


def measure(device: torch.device, songs: int, seconds: float, folder: Path) -> str:
    """Returns a sentence about songs of noise, separated by the preset model of music with random weights."""
    preset = TRAIN_SEPARATOR["music"].separator
    sources, scales = ("bass", "drums", "other", "vocals"), (1.0,) * 4
    form = replace(preset, sources=sources, sample_rate=RATE, channels=2, scales=scales)
    checkpoint.save(folder / "model", Separator(form), {})
    rng = np.random.default_rng(0)
    paths = [folder / f"{i}.flac" for i in range(songs + 1)]
    for path in paths:
        io.write(
            path, rng.uniform(-0.3, 0.3, (2, round(seconds * RATE))).astype(np.float32), RATE, format="flac"
        )
    job = replace(SEPARATE_CATALOG["songs"], format="flac", device="gpu")
    if device.type == "cpu":
        job = replace(job, device="cpu", batch_size=1)
    worker = Worker(
        WorkerSettings(job, str(folder / "model"), "random weights", "busy", str(folder / "stems"))
    )
    first, *rest = (Assignment(path.name, str(path)) for path in paths)
    worker.separate([first])  # what is made once
    sampled: contextlib.AbstractContextManager[list[float]] = contextlib.nullcontext([])
    if device.type == "cuda":
        sampled = utilisation()
    with sampled as shares:
        began = time.perf_counter()
        worker.separate(rest)
        took = time.perf_counter() - began
    assert worker.ledger.read("status")["status"].to_pylist() == ["separated"] * len(paths)
    busy = f", the GPU busy {statistics.mean(shares):.0f} % of it" if shares else ""
    pace = f"{took:.1f} s, {songs * seconds / took:.1f} x real time{busy}"
    return f"{songs} songs of {seconds:g} s, {os.cpu_count()} CPU cores: {pace}"


def main() -> None:
    """Prints the sentence."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--songs", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=240.0, help="length of a song (s)")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="vsep-busy-") as folder:
        print(measure(torch.device(asked.device), asked.songs, asked.seconds, Path(folder)))


if __name__ == "__main__":
    main()
