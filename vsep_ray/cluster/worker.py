"""One track of a catalog on one worker: separate, encode, publish, commit a ledger row, whatever happens."""

import json
import logging
import platform
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from vsep_ray import checkpoint, streaming
from vsep_ray.audio import io
from vsep_ray.audio.formats import AudioError, Stage
from vsep_ray.data import storage
from vsep_ray.data.catalog import stem_names
from vsep_ray.data.ledger import Ledger, LedgerRow
from vsep_ray.inference import amortized
from vsep_ray.separators import Separator

log = logging.getLogger(__name__)
SHORTEST = 4
"""How often a chunk may be halved when memory runs out."""


@dataclass(frozen=True)
class WorkerSettings:
    """What a worker needs to know: a checkpoint directory, names for the records, and
    `SeparateCatalogConfig`'s fields."""

    directory: str
    model_uri: str
    fingerprint: str
    output: str
    template: str
    format: str
    subtype: str
    chunk_seconds: float
    overlap: float
    batch_size: int


@dataclass(frozen=True)
class Task:
    """One track to do: its id, its file, and how often it was tried before."""

    track: str
    uri: str
    attempts: int

    def to_row(self) -> dict[str, str]:
        """A row for Ray Data; JSON, since Arrow refuses file names that are not UTF-8."""
        return {"task": json.dumps(asdict(self))}


class Worker:
    """Loads the model once, then separates one track per call; every call commits a row and none raises."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.settings, self.ledger = settings, Ledger(settings.output)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model, self.multiple = load_model(settings.directory, device)

    def __call__(self, row: dict[str, str]) -> dict[str, Any]:
        """A row of `Task.to_row` -> the fields of the `LedgerRow` that were committed."""
        task, started = Task(**json.loads(row["task"])), time.perf_counter()
        result = replace(
            self._try(task), attempts=task.attempts + 1, wall_seconds=time.perf_counter() - started
        )
        self.ledger.append([result])
        return {"track": result.track, "status": result.status, "audio_seconds": result.audio_seconds}

    def _try(self, task: Task) -> LedgerRow:
        wanted = chunking(self.settings, self.model.sample_rate, self.multiple)
        for grid in ladder(wanted):
            try:
                with tempfile.TemporaryDirectory(prefix="vsep-") as scratch:
                    return self._separate(task, grid, Path(scratch))
            except AudioError as error:
                return self._failed(task, error.stage, error.message)
            except Exception as error:
                if not is_out_of_memory(error):
                    log.exception(
                        "track %s", task.track
                    )  # a mistake of ours, or a full disk: the row has the line
                    return self._failed(task, _stage_of(error), f"{type(error).__name__}: {error}")
                log.warning("track %s: out of memory with %s", task.track, grid)
        return self._failed(task, "separate", "out of memory with the smallest batch and the shortest chunk")

    def _separate(self, task: Task, grid: streaming.Chunking, scratch: Path) -> LedgerRow:
        s = self.settings
        stems = streaming.separate_file(task.uri, self.model, grid, scratch, s.format)
        measures = streaming.measure(stems, s.format, s.subtype)
        paths = [scratch / f"{i}.{s.format}" for i in range(len(stems.sources))]
        streaming.encode(stems, measures.gain, paths, s.format, s.subtype, self._tags(task.uri))
        names = stem_names(task.track, stems.sources, s.template, s.format)
        for path, name in zip(paths, names, strict=True):
            storage.upload(path, storage.join(s.output, name))
        return replace(
            self._row(task, "separated"),
            audio_seconds=stems.length / stems.sample_rate,
            sample_rate=stems.sample_rate,
            channels=stems.channels,
            samples=stems.length,
            peak=measures.peak,
            gain=measures.gain,
            remainder_db=measures.remainder_db,
            stems=names,
            stem_bytes=tuple(path.stat().st_size for path in paths),
            chunk_seconds=grid.chunk / self.model.sample_rate,
            batch_size=grid.batch_size,
        )

    def _tags(self, uri: str) -> list[dict[str, str]]:
        tags = io.read_tags(uri)
        made = "separated by vsep_ray with " + self.settings.model_uri
        before = [tags["comment"]] if tags.get("comment") else []
        return [{**tags, "comment": "; ".join([*before, f"{s} {made}"])} for s in self.model.sources]

    def _failed(self, task: Task, stage: Stage, message: str) -> LedgerRow:
        log.warning("track %s failed: %s: %s", task.track, stage, message)
        return replace(self._row(task, "failed"), stage=stage, message=message[:500])

    def _row(self, task: Task, status: Any) -> LedgerRow:
        s = self.settings
        return LedgerRow(task.track, status, s.fingerprint, s.model_uri, node=platform.node())


def load_model(directory: str, device: torch.device) -> tuple[streaming.Model, int]:
    """The separator of a checkpoint directory as a stream's model, and the multiple of samples that it works
    in."""
    separator = checkpoint.load(directory)
    assert isinstance(separator, Separator), directory
    separator = separator.to(device)

    def separate(mixture: torch.Tensor) -> torch.Tensor:
        return separator.mixing.shares(amortized(mixture.to(device), separator=separator))

    model = streaming.Model(separate, separator.sources, separator.sample_rate, separator.channels)
    return model, separator.multiple


def chunking(settings: WorkerSettings, sample_rate: int, multiple: int) -> streaming.Chunking:
    """The grid in samples of the model's rate (Hz); chunks are rounded up to the model's multiple."""
    chunk = -(-round(settings.chunk_seconds * sample_rate) // multiple) * multiple
    return streaming.Chunking(chunk, max(1, chunk - round(chunk * settings.overlap)), settings.batch_size)


def ladder(grid: streaming.Chunking) -> Iterator[streaming.Chunking]:
    """What to try as memory runs out: the grid asked for, smaller batches, then shorter chunks.

    Example:
        >>> [(g.chunk, g.batch_size) for g in ladder(streaming.Chunking(64, 48, 3))]
        [(64, 3), (64, 1), (32, 1), (16, 1), (8, 1), (4, 1)]
    """
    yield grid
    while grid.batch_size > 1:
        grid = replace(grid, batch_size=grid.batch_size // 2)
        yield grid
    for _ in range(SHORTEST):
        grid = replace(grid, chunk=max(1, grid.chunk // 2), hop=max(1, grid.hop // 2))
        yield grid


def is_out_of_memory(error: Exception) -> bool:
    """Whether a GPU's or the machine's memory ran out; PyTorch's CPU allocator says so in words only."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "DefaultCPUAllocator" in str(error)


def _stage_of(error: Exception) -> Stage:
    return "encode" if isinstance(error, OSError) else "separate"
