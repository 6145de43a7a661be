"""benchmark says what the system costs over the bare work inside it, both timed in one run.

========== ======================================================= =========================================
case       system                                                  bare
========== ======================================================= =========================================
writing    files into a crop store, by Ray Data                    decode + resample + encode alone
reading    a batch remixed from the store                          a batch decoded from .stem.mp4 by musdb
preparing  peak of the process that cuts the long file             the same for the short file
rendering  band songs into a crop store, CPU seconds                FluidSynth alone, which plays their notes
separation songs through ``separate_catalog.py``, steady state     decode + resample + model + encode alone
scaling    the same by two actors on two cores                     by one actor on one
ledger     rows per second of a catalog of very many               the 2,000 that are wanted
training   steps of Ray Train fed by Ray Data, one worker          steps of a plain loop on tensors in memory
memory     peak of the process that separates the long file        the same for the short file
========== ======================================================= =========================================
"""

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
import torch

from vsep_ray import checkpoint
from vsep_ray.cluster.benchmark.cases import Row, memory, training
from vsep_ray.cluster.benchmark.catalog import ledger, scaling, separation, songs
from vsep_ray.cluster.benchmark.data import make_music, preparing, reading, writing
from vsep_ray.cluster.benchmark.rendering import rendering
from vsep_ray.cluster.prepare_crops import prepare
from vsep_ray.cluster.runtime import talk
from vsep_ray.cluster.runtime.tracked_run import start_run
from vsep_ray.cluster.separate.settings import WorkerSettings
from vsep_ray.cluster.train.launch import with_format
from vsep_ray.config import UserError
from vsep_ray.crops.store import CropStore
from vsep_ray.datasets.band import BandConfig
from vsep_ray.presets import PREPARE_CROPS, BenchmarkConfig, SeparateCatalogConfig
from vsep_ray.separators import Separator
from vsep_ray.tracking import Tracker

CORES = os.cpu_count() or 1


def run(config: BenchmarkConfig) -> dict[str, Any]:
    """Measures, prints the table, and returns the figures of the JSON line."""
    if len(ray.nodes()) > 1:
        raise UserError("the benchmark compares on one machine; start it without a cluster of several nodes")
    if config.fit.steps < 2 * config.fit.log_every:
        raise UserError("--fit.steps must be at least twice --fit.log-every: the first window is start-up")
    with (
        start_run(config, "benchmark", f"benchmark, {config.preset}") as tracker,
        tempfile.TemporaryDirectory(prefix="vsep-benchmark-") as folder,
    ):
        recipe = replace(
            PREPARE_CROPS["toy"], storage=folder, tracking_uri=config.tracking_uri, dataset=config.toy
        )
        store = CropStore.open(prepare(recipe)["output"])
        music = Path(folder, "music")
        make_music(config, music)
        rows = _measure(config, store, music, tracker)
        tracker.text(table(rows), "benchmark.md")
        tracker.metrics({f"{row.case}/ratio": row.ratio for row in rows})
    return {"run_id": tracker.run_id, "rows": [row.to_dict() for row in rows], "table": table(rows)}


def closing(config: BenchmarkConfig, figures: Mapping[str, Any]) -> list[talk.Line]:
    """Returns what is said at the end of the job: the table."""
    return [("", figures["table"])]


def plan(config: BenchmarkConfig) -> dict[str, Any]:
    """Returns what `run` would do."""
    return {
        "cases": [
            "writing",
            "reading",
            "preparing",
            "rendering",
            "separation",
            "scaling",
            "ledger",
            "training",
            "memory",
        ],
        "repeats": config.repeats,
    }


def table(rows: Sequence[Row]) -> str:
    """Returns the rows in Markdown."""
    head = "| case | system | bare | ratio | details |\n|---|---|---|---|---|"
    return "\n".join([head, *(row.markdown() for row in rows)])


def _measure(config: BenchmarkConfig, store: CropStore, music: Path, tracker: Tracker) -> list[Row]:
    """Measures all cases, in the folder that the music lies in."""
    folder = music.parent
    settings = _settings(config, store, folder, tracker.run_id)
    songs(config, music, Path(settings.config.catalog))
    band = BandConfig(train_songs=config.band_songs, song_seconds=config.band_seconds)
    return [
        writing(config, music),
        reading(config, music),
        preparing(config, folder),
        *rendering(band, folder, config.repeats),
        separation(settings, CORES, config.repeats),
        scaling(settings.config),
        ledger(config, settings.config, folder),
        training(config, store, tracker, str(folder)),
        memory(config, settings, folder),
    ]


def _settings(config: BenchmarkConfig, store: CropStore, folder: Path, run_id: str) -> WorkerSettings:
    """Returns settings of bulk separation with its defaults, by a model of random weights."""
    torch.manual_seed(0)
    checkpoint.save(folder / "model", Separator(with_format(config.separator, store)), {})
    job = SeparateCatalogConfig(
        storage=str(folder),
        tracking_uri=config.tracking_uri,
        experiment="vsep/benchmark",
        parent_run=run_id,
        catalog=str(folder / "catalog"),
        model=str(folder / "model"),
        output=str(folder / "stems"),
        format=config.format,
        chunk_seconds=config.chunk_seconds,
        batch_size=config.batch_size,
        listening_tracks=0,
    )
    return WorkerSettings(job, job.model, "random weights", "benchmark", job.output)
