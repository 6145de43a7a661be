"""Some tracks of a catalog on one worker: separate, encode, publish, commit ledger rows, whatever happens."""

import json
import logging
import platform
import tempfile
import time
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vsep_ray import streaming
from vsep_ray.ahead import ahead
from vsep_ray.audio.formats import SCARCE, AudioError, Stage
from vsep_ray.cluster.progress import Breaker
from vsep_ray.data import storage
from vsep_ray.data.catalog import stem_names
from vsep_ray.data.ledger import Ledger, LedgerRow, LedgerWriter
from vsep_ray.data.staging import Staging, locks_work, sweep
from vsep_ray.presets.job import Device, torch_device
from vsep_ray.streaming import Chunking, Selection, Stems
from vsep_ray.streaming.separator import (
    chunking,
    is_out_of_memory,
    ladder,
    load,
    may_span,
    stream_model,
)

log = logging.getLogger(__name__)
BEHIND = 2
"""Tracks that are encoded and written at the same time."""


@dataclass(frozen=True)
class WorkerSettings:
    """What a worker needs to know: a checkpoint directory that every node finds, names for the records, and
    `SeparateCatalogConfig`'s fields."""

    directory: str
    model_uri: str
    fingerprint: str
    output: str
    template: str = "{path}/{source}.{ext}"
    format: str = "wav"
    subtype: str = "auto"
    chunk_seconds: float = 6.0
    overlap: float = 0.25
    batch_size: int = 4
    sources: tuple[str, ...] = ()
    samples: int = 0
    max_alike: int = 0
    device: Device = "auto"
    run: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """One track to do: its id, its file, and how often it was tried before."""

    track: str
    uri: str
    attempts: int = 0


def to_row(tasks: Iterable[Task]) -> dict[str, str]:
    """A row for Ray Data; JSON, since Arrow refuses file names that are not UTF-8."""
    return {"tasks": json.dumps([asdict(task) for task in tasks])}


class FatalError(Exception):
    """No track is to blame and none can go on: the job must stop."""


class Worker:
    """Loads the model once, then separates some tracks per call; a row is committed for each of them."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.settings, self.ledger = settings, Ledger(settings.output)
        device = torch_device(settings.device)
        separator = load(settings.directory)
        self.selection = Selection.of(separator.sources, settings.sources)
        self.model = stream_model(separator, self.selection, settings.samples, device)
        self.grid = chunking(separator, settings.chunk_seconds, settings.overlap, settings.batch_size)
        self.span = may_span(self.model, self.grid)
        root = staging_root(settings.output)
        sweep(root)
        self.staging = Staging(root)

    def __call__(self, row: dict[str, str]) -> dict[str, Any]:
        """A row of `to_row` -> how many tracks have their ledger rows now, and why the job must stop, if it
        must."""
        tasks = [Task(**values) for values in json.loads(row["tasks"])]
        commits, breaker = LedgerWriter(self.ledger), Breaker(self.settings.max_alike)
        fatal, done = "", 0
        try:
            with closing(self.rows(tasks)) as rows:
                for done, result in enumerate(rows, 1):  # noqa: B007
                    commits.add(result)
                    if fatal := breaker.feed([asdict(result)]):
                        break
            commits.flush()
        except (FatalError, OSError) as error:
            where = f"cannot write to the ledger {self.ledger.uri}: " if isinstance(error, OSError) else ""
            fatal = f"{where}{error}"
            log.error(fatal)
        return {"tracks": done, "fatal": fatal}

    def rows(self, tasks: Sequence[Task]) -> Generator[LedgerRow, None, None]:
        """A ledger row for each task, in order. Where the model raises, the tasks are done one by one.

        Raises:
            FatalError: no track is to blame.
        """
        clock, done = _Clock(), 0
        try:
            with closing(self._separate(tasks, self.grid)) as rows:
                for row in rows:
                    done += 1
                    yield clock.stamp(row)
        except Exception as error:
            _raise_if_fatal(error, self.settings.output)
            log.warning("%d tracks one by one now: %s: %s", len(tasks) - done, type(error).__name__, error)
        # not inside "except": the error would hold the memory of the pass that failed
        for task in tasks[done:]:
            yield clock.stamp(self._alone(task))

    def _alone(self, task: Task) -> LedgerRow:
        for grid in ladder(self.grid):
            try:
                with closing(self._separate([task], grid)) as rows:
                    return next(rows)
            except Exception as error:
                _raise_if_fatal(error, self.settings.output)
                if not is_out_of_memory(error):
                    log.exception("track %s", task.track)  # a mistake of ours: the row has the line
                    return self._failed(task, "separate", f"{type(error).__name__}: {error}")
                log.warning("track %s: out of memory with %s", task.track, grid)
        return self._failed(task, "separate", "out of memory with the smallest batch and the shortest chunk")

    def _separate(self, tasks: Sequence[Task], grid: Chunking) -> Generator[LedgerRow, None, None]:
        """The rows of the tasks, in order; the last tracks' stems are encoded while the next is separated."""
        uris = [task.uri for task in tasks]
        files = streaming.separate_files(
            uris, self.model, grid, self.selection, self.settings.format, span=self.span
        )
        # more than one behind: while a disk syncs, another encodes
        with closing(files) as outcomes, ThreadPoolExecutor(BEHIND) as behind:
            finishing = (
                behind.submit(self._finish, task, outcome, grid)
                for task, outcome in zip(tasks, outcomes, strict=True)
            )
            # ahead, lest a track's row wait for the next track's model
            with ahead(finishing, BEHIND) as futures:
                for future in futures:
                    yield future.result()

    def _finish(self, task: Task, outcome: Stems | AudioError, grid: Chunking) -> LedgerRow:
        if isinstance(outcome, AudioError):
            return self._failed(task, outcome.stage, outcome.message)
        try:
            return self._publish(task, outcome, grid)
        except AudioError as error:
            return self._failed(task, error.stage, error.message)
        except OSError as error:
            _raise_if_fatal(error, self.settings.output)
            return self._failed(task, "encode", f"{type(error).__name__}: {error}")
        finally:
            outcome.close()

    def _publish(self, task: Task, stems: Stems, grid: Chunking) -> LedgerRow:
        s = self.settings
        names = stem_names(task.track, self.selection.stems, s.template, s.format)
        factor = streaming.gain(stems, s.format, s.subtype)
        with tempfile.TemporaryDirectory(dir=self.staging.folder) as folder:
            paths = [Path(folder, f"{i}.{s.format}") for i in range(len(names))]
            streaming.encode(stems, factor, paths, s.format, s.subtype, self._tags(stems))
            sizes = tuple(path.stat().st_size for path in paths)
            for path, name in zip(paths, names, strict=True):
                storage.publish(path, storage.join(s.output, name))
        return replace(
            self._row(task, "separated"),
            audio_seconds=stems.length / stems.sample_rate,
            sample_rate=stems.sample_rate,
            channels=stems.channels,
            samples=stems.length,
            peak=stems.peak,
            gain=factor,
            remainder_db=stems.remainder_db,
            stems=names,
            stem_bytes=sizes,
            confidence_db=stems.confidence_db,
            lowest_confidence_db=self._lowest(stems.confidence_db),
            chunk_seconds=grid.chunk / self.model.sample_rate,
            batch_size=grid.batch_size,
        )

    def _lowest(self, confidence_db: Sequence[float]) -> float | None:
        """The least of the stems that are made of sources: a mere residual has none to be sure of."""
        made = [any(row) for row in self.selection.matrix.tolist()]
        return min((db for db, some in zip(confidence_db, made, strict=False) if some), default=None)

    def _tags(self, stems: Stems) -> list[dict[str, str]]:
        made = "separated by vsep_ray with " + self.settings.model_uri
        before = [stems.tags["comment"]] if stems.tags.get("comment") else []
        return [{**stems.tags, "comment": "; ".join([*before, f"{s} {made}"])} for s in self.selection.stems]

    def _failed(self, task: Task, stage: Stage, message: str) -> LedgerRow:
        log.warning("track %s failed: %s: %s", task.track, stage, message)
        return replace(self._row(task, "failed"), stage=stage, message=message[:500])

    def _row(self, task: Task, status: Any) -> LedgerRow:
        s = self.settings
        return LedgerRow(
            task.track, status, s.fingerprint, s.model_uri,
            attempts=task.attempts + 1, node=platform.node(), run=s.run,
        )  # fmt: skip


class _Clock:
    """Shares the time of a worker out among the tracks as they finish."""

    def __init__(self) -> None:
        self.last = time.perf_counter()

    def stamp(self, row: LedgerRow) -> LedgerRow:
        before, self.last = self.last, time.perf_counter()
        return replace(row, wall_seconds=self.last - before, time=time.time())


def staging_root(output: str) -> Path:
    """Where stems wait until they are complete: beside the ledger, or in the temporary folder if that is in a
    bucket or its file system has no locks."""
    if not storage.is_remote(output) and locks_work(root := storage.local_path(Ledger(output).uri)):
        return root
    return storage.temporary_root()


def _raise_if_fatal(error: Exception, output: str) -> None:
    if isinstance(error, FatalError):
        raise error
    if isinstance(error, OSError) and error.errno in SCARCE:
        raise FatalError(
            f"{error.strerror} (stems go to {output}, scratch files to {tempfile.gettempdir()}); nothing is "
            "lost: mend that and run the same command again"
        ) from error
