"""One worker separates tracks of a catalog, and encodes, publishes and commits them, whatever happens."""

import functools
import logging
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from vsep_ray import checkpoint, storage, streaming
from vsep_ray.audio.formats import Failure
from vsep_ray.catalog.ledger import Ledger, LedgerRow, LedgerWriter
from vsep_ray.cluster.separate.breaker import Breaker
from vsep_ray.cluster.separate.publishing import FatalError, Finisher, raise_if_fatal
from vsep_ray.cluster.separate.settings import Assignment, WorkerSettings, failed
from vsep_ray.nn.precision import resolve
from vsep_ray.parallel.prefetch import ahead, crew
from vsep_ray.presets.job import torch_device
from vsep_ray.storage.locks import Staging, locks_work, remove_abandoned
from vsep_ray.streaming import Chunking, Selection
from vsep_ray.streaming.model import (
    chunking,
    is_out_of_memory,
    ladder,
    may_span,
    pace,
    saturating,
    stream_model,
)

log = logging.getLogger(__name__)
BEHIND = 2
"""This number of tracks is encoded, and published, at the same time: while a disk syncs, another goes on."""


class Worker:
    """Loads the model once, then separates some tracks per call; a row is committed for each of them."""

    def __init__(self, settings: WorkerSettings) -> None:
        config, self.ledger = settings.config, Ledger(settings.output)
        device = torch_device(config.device)
        config = replace(config, precision=resolve(config.precision, device))
        self.settings = replace(settings, config=config)
        self.on_gpu = device.type != "cpu"
        separator = checkpoint.load_separator(settings.directory)
        self.selection = Selection.of(separator.sources, config.sources)
        self.model = stream_model(
            separator, self.selection, config.samples, device, config.precision, method=config.method,
            joint=checkpoint.load_joint(settings.priors, separator) if settings.priors else None,
            shifts=config.shifts, channels=config.channels,
        )  # fmt: skip
        self.grid = chunking(separator, config.chunk_seconds, config.overlap, config.batch_size)
        self.span = may_span(self.model, self.grid)
        root = staging_root(settings.output)
        remove_abandoned(root)
        self.staging = Staging(root)

    def separate(self, assignments: Sequence[Assignment]) -> str | None:
        """Separates the tracks and commits their rows to the ledger.

        Returns:
            Why the job must stop, or None if it may go on.
        """
        commits, breaker, stop = LedgerWriter(self.ledger), Breaker(self.settings.config.max_alike), None
        try:
            with closing(self.rows(assignments)) as rows:
                last = time.perf_counter()
                for row in rows:  # a worker's time is shared out among the tracks as they finish
                    before, last = last, time.perf_counter()
                    commits.add(replace(row, wall_seconds=last - before, time=time.time()))
                    if stop := breaker.feed(row.track, row.failure):
                        break
            commits.flush()
            return stop
        except FatalError as error:
            stop = str(error)
        except OSError as error:
            stop = f"cannot write to the ledger {self.ledger.uri}: {error}"
        log.error(stop)
        return stop

    def rows(self, assignments: Sequence[Assignment]) -> Generator[LedgerRow, None, None]:
        """Yields a ledger row for each assignment, in order; where the model raises, one by one.

        Raises:
            FatalError: no track is to blame.
        """
        done = 0
        try:
            with closing(self._separate(assignments, self.grid)) as rows:
                for row in rows:
                    done += 1
                    yield row
        except Exception as error:
            raise_if_fatal(error, self.settings.output)
            log.warning(
                "%d tracks one by one now: %s: %s", len(assignments) - done, type(error).__name__, error
            )
        # not inside "except": the error would hold the memory of the pass that failed
        yield from map(self._alone, assignments[done:])

    def _alone(self, assignment: Assignment) -> LedgerRow:
        for grid in ladder(self.grid):
            try:
                with closing(self._separate([assignment], grid)) as rows:
                    return next(rows)
            except Exception as error:
                raise_if_fatal(error, self.settings.output)
                if not is_out_of_memory(error):
                    log.exception("track %s", assignment.track)  # a mistake of ours: the row has the line
                    failure = Failure("separate", f"{type(error).__name__}: {error}")
                    return failed(assignment, self.settings, failure)
                log.warning("track %s: out of memory with %s", assignment.track, grid)
        words = "out of memory with the smallest batch and the shortest chunk"
        return failed(assignment, self.settings, Failure("separate", words))

    def _separate(
        self, assignments: Sequence[Assignment], grid: Chunking
    ) -> Generator[LedgerRow, None, None]:
        """Yields the rows of the assignments, in order; tracks are finished while the next is separated."""
        uris = [assignment.uri for assignment in assignments]
        # one waits for a GPU, or for files that are fetched: the case for threads (`crew`)
        threaded = self.on_gpu or any(map(storage.is_remote, uris))
        files = streaming.separate_files(
            uris, self.model, grid, self.selection, self.settings.config.format,
            span=self.span, threaded=threaded,
        )  # fmt: skip
        finisher = Finisher(self.settings, self.selection, grid, self.staging.folder, threaded)
        with (
            closing(files) as outcomes,
            crew(BEHIND) as publishing,
            crew(BEHIND if threaded else 0) as encoding,
        ):
            finishing = (
                publishing.submit(
                    finisher.publish, assignment, encoding.submit(finisher.encode, assignment, outcome)
                )
                for assignment, outcome in zip(assignments, outcomes, strict=True)
            )
            # ahead, lest a track's row wait for the next track's model
            with ahead(finishing, BEHIND) as futures:
                for future in futures:
                    yield future.result()


def saturating_batch(settings: WorkerSettings) -> int:
    """Returns the number of chunks with which the model saturates the GPU of the node where this runs."""
    worker = Worker(settings)
    try:
        return saturating(functools.partial(pace, worker.model, worker.grid.chunk))
    finally:
        worker.staging.close()


def staging_root(output: str) -> Path:
    """Returns where stems wait until they are complete.

    It is the ledger's folder, or the temporary folder if that is in a bucket or its file system has no locks.
    """
    if not storage.is_remote(output) and locks_work(root := storage.local_path(Ledger(output).uri)):
        return root
    return storage.temporary_root()
