"""Behind the model, separated tracks become encoded stems, files at their places, and ledger rows."""

import tempfile
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path

from vsep_ray import storage, streaming
from vsep_ray.audio.formats import SCARCE, AudioError, Failure
from vsep_ray.catalog.ledger import LedgerRow
from vsep_ray.catalog.listing import stem_names
from vsep_ray.cluster.separate.settings import Assignment, WorkerSettings, failed, row_of
from vsep_ray.streaming import Chunking, Selection, Stems


class FatalError(Exception):
    """No track is to blame and none can go on: the job must stop."""


@dataclass(frozen=True)
class Encoded:
    """A track's stems wait in a folder of their own, with the row that is true once they are published."""

    row: LedgerRow
    folder: tempfile.TemporaryDirectory
    paths: Sequence[Path]


@dataclass(frozen=True)
class Finisher:
    """Encodes the stems of a separated track, which computes, and publishes them, which waits for a disk or a
    bucket.

    Attributes:
        settings: the worker's settings.
        selection: the stems of a track.
        grid: the chunks in which tracks are separated.
        folder: files lie here on their way.
        threaded: whether a track's stems are encoded side by side.
    """

    settings: WorkerSettings
    selection: Selection
    grid: Chunking
    folder: Path
    threaded: bool

    def encode(self, assignment: Assignment, outcome: Stems | Failure) -> Encoded | Failure:
        """Returns stems as files that nobody else sees yet, or what the track failed with.

        Raises:
            FatalError: there is no disk space.
        """
        if isinstance(outcome, Failure):
            return outcome
        try:
            return self._write(assignment, outcome)
        except AudioError as error:
            return error.failure
        except OSError as error:
            return self._failure(error)
        finally:
            outcome.close()

    def publish(self, assignment: Assignment, encoding: "Future[Encoded | Failure]") -> LedgerRow:
        """Returns the track's row for the ledger, once its stems are safely where they belong.

        Raises:
            FatalError: there is no disk space.
        """
        encoded = encoding.result()
        if isinstance(encoded, Failure):
            return failed(assignment, self.settings, encoded)
        try:
            with encoded.folder:
                for path, name in zip(encoded.paths, encoded.row.stems, strict=True):
                    storage.publish(path, storage.join(self.settings.output, name))
        except OSError as error:
            return failed(assignment, self.settings, self._failure(error))
        return encoded.row

    def _write(self, assignment: Assignment, stems: Stems) -> Encoded:
        c = self.settings.config
        stems_of = self.selection.stems
        names = stem_names(assignment.track, stems_of, c.template, c.format, assignment.whole)
        folder = tempfile.TemporaryDirectory(dir=self.folder)
        paths = [Path(folder.name, f"{i}.{c.format}") for i in range(len(names))]
        try:
            gain = streaming.encode(
                stems, paths, c.format, c.subtype, self._tags(stems), threaded=self.threaded
            )
            sizes = tuple(path.stat().st_size for path in paths)
        except BaseException:
            folder.cleanup()
            raise
        row = replace(self._row(assignment, stems), gain=gain, stems=names, stem_bytes=sizes)
        return Encoded(row, folder, paths)

    def _failure(self, error: OSError) -> Failure:
        """Returns what a track failed with that cannot be written, unless no track can."""
        raise_if_fatal(error, self.settings.output)
        return Failure("encode", f"{type(error).__name__}: {error}")

    def _row(self, assignment: Assignment, stems: Stems) -> LedgerRow:
        # a mere residual has no confidence of its own
        made = zip(stems.confidence_db, map(any, self.selection.matrix.tolist()), strict=False)
        return replace(
            row_of(assignment, self.settings, "separated"),
            audio_seconds=stems.length / stems.sample_rate,
            sample_rate=stems.sample_rate,
            channels=stems.channels,
            samples=stems.length,
            peak=stems.peak,
            remainder_db=stems.remainder_db,
            confidence_db=stems.confidence_db,
            lowest_confidence_db=min((db for db, some in made if some), default=None),
            chunk_seconds=self.grid.chunk / stems.model.sample_rate,
            batch_size=self.grid.batch_size,
            precision=self.settings.config.precision,
        )

    def _tags(self, stems: Stems) -> list[dict[str, str]]:
        made = "separated by vsep_ray with " + self.settings.model_uri
        before = [stems.tags["comment"]] if stems.tags.get("comment") else []
        return [{**stems.tags, "comment": "; ".join([*before, f"{s} {made}"])} for s in self.selection.stems]


def raise_if_fatal(error: Exception, output: str) -> None:
    """Raises a `FatalError` where an error is no track's fault."""
    if isinstance(error, FatalError):
        raise error
    if isinstance(error, OSError) and error.errno in SCARCE:
        raise FatalError(
            f"{error.strerror} (stems go to {output}, scratch files to {tempfile.gettempdir()}); nothing is "
            "lost: mend that and run the same command again"
        ) from error
