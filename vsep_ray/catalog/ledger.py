"""The ledger says in a row what happened to each track of a catalog: Parquet under ``<output>/_ledger/``.

A row is the commit: stems without one do not count and are replaced. Actors append
small part files atomically; the driver merges them as they come and compacts all into ``ledger.parquet`` in
the end. Of several rows of one track the latest holds, so that a merge that was killed half-way does no harm.
A ledger is read as an Arrow table, since a catalog may have a million tracks.
"""

import io
import itertools
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_type_hints

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vsep_ray import storage
from vsep_ray.audio.formats import Failure, Stage
from vsep_ray.config import UserError

FORMAT = 1
"""Every file's metadata has this number of the ledger's layout; files without one are older (FORMATS.md)."""
COMPACTED = "ledger.parquet"
COMMIT_SECONDS = 2.0
"""Finished tracks wait this time (s) for their rows at most; a kill loses no more than their work."""
MERGE = 256
"""This number of parts is merged into one while actors go on."""
PATIENCE = 5
"""A reader lists the files up to five times anew when one was merged meanwhile."""
BATCH = 10_000
"""The stems of this number of rows are looked for at once."""


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """A row says what became of one track.

    Attributes:
        track: its id in the catalog.
        status: ``separated`` or ``failed``.
        stage, message: of a failure; empty where there is none.
        audio_seconds, wall_seconds: length of the track, and time that it took its worker.
        sample_rate, channels, samples: Hz, audio channels and samples per channel of the track and its stems.
        peak: largest absolute sample of all stems before the gain; 1 is full scale.
        gain: common factor of all stems; below 1 where an integer format would have clipped.
        remainder_db: power of mixture - sum of the model's stems relative to the mixture's, dB, at least
            -200.
        stems: names relative to the output folder.
        stem_bytes: size of each stem, bytes.
        confidence_db: of each stem, the SDR that the model expects of itself, dB, within +-200; empty without
            ``--samples``.
        lowest_confidence_db: the least confidence, to sort by; null where none was asked for.
        model: URI of the model.
        fingerprint: of the model and all options that change the stems.
        chunk_seconds, batch_size: as used; smaller than asked for where memory ran out.
        precision: what the model multiplied in, ``float32`` or ``bf16``.
        attempts: how many times it was tried under this fingerprint.
        node: host name.
        run: id of the MLflow run that did it, and behind a ``+`` which start of it.
        time: when the row was made, seconds since 1970.
    """

    track: str
    status: Literal["separated", "failed"]
    fingerprint: str
    model: str = ""
    stage: Stage | Literal[""] = ""
    message: str = ""
    audio_seconds: float = 0.0
    wall_seconds: float = 0.0
    sample_rate: int = 0
    channels: int = 0
    samples: int = 0
    peak: float = 0.0
    gain: float = 1.0
    remainder_db: float = 0.0
    stems: tuple[str, ...] = ()
    stem_bytes: tuple[int, ...] = ()
    confidence_db: tuple[float, ...] = ()
    lowest_confidence_db: float | None = None
    chunk_seconds: float = 0.0
    batch_size: int = 0
    precision: str = ""
    attempts: int = 1
    node: str = ""
    run: str = ""
    time: float = field(default_factory=time.time)

    @property
    def failure(self) -> Failure | None:
        """The failure of the track, None if it did not fail."""
        return Failure(self.stage, self.message) if self.stage else None


_TYPES: dict[Any, pa.DataType] = {
    str: pa.string(),
    float: pa.float64(),
    float | None: pa.float64(),
    int: pa.int64(),
    tuple[str, ...]: pa.list_(pa.string()),
    tuple[int, ...]: pa.list_(pa.int64()),
    tuple[float, ...]: pa.list_(pa.float64()),
}
SCHEMA = pa.schema([(n, _TYPES.get(hint, pa.string())) for n, hint in get_type_hints(LedgerRow).items()])


class Ledger:
    """An output folder has one ledger."""

    def __init__(self, output: str) -> None:
        self.output, self.uri = output, storage.join(output, "_ledger")

    def append(self, rows: Iterable[LedgerRow]) -> None:
        """Commits rows at once; any number of processes may do so."""
        columns = list(zip(*([getattr(row, name) for name in SCHEMA.names] for row in rows), strict=True))
        if columns:
            self._write(new_name("part"), pa.table(columns, SCHEMA))

    def read(self, *columns: str) -> pa.Table:
        """Returns the latest row of every track, sorted by track; all columns, or track, time and others."""
        for attempt in itertools.count():
            parts = self.parts()
            try:
                table = self.read_parts(parts, columns)
            except FileNotFoundError:  # merged just now by the run that goes on there
                if attempt == PATIENCE:
                    raise
                continue
            return table if parts == [COMPACTED] else latest(table)

    def parts(self) -> list[str]:
        """Returns the names of the files that the ledger consists of now."""
        return [
            name for name in storage.list_folder(self.uri) if name.endswith(".parquet") and name[0] != "."
        ]

    def read_parts(self, names: Iterable[str], columns: Sequence[str] = ()) -> pa.Table:
        """Returns the rows of some of the files; all columns, or track, time and others."""
        schema = pa.schema([f for f in SCHEMA if not columns or f.name in ("track", "time", *columns)])
        return pa.concat_tables([schema.empty_table(), *(self._read(name, schema) for name in names)])

    def merge(self, names: Sequence[str], into: str) -> None:
        """Puts several files into one of another or the same name. Only the driver may."""
        self._write(into, latest(self.read_parts(names)))
        for name in names:
            if name != into:
                storage.delete(storage.join(self.uri, name))

    def compact(self) -> str:
        """Merges all files into one, sorted by track; returns its URI. Only the driver may."""
        parts = self.parts()
        if parts != [COMPACTED]:
            self.merge(parts, COMPACTED)
        return storage.join(self.uri, COMPACTED)

    def incomplete(self, table: pa.Table) -> Iterator[str]:
        """Yields the tracks in a table of separated ones of which a stem is not there in full size."""
        for batch in table.select(["track", "stems", "stem_bytes"]).to_batches(BATCH):
            tracks, stems, sizes = (column.to_pylist() for column in batch.columns)
            uris = [storage.join(self.output, name) for names in stems for name in names]
            found = (size for size, _ in storage.stamps(uris))
            for track, wanted in zip(tracks, sizes, strict=True):
                if [next(found) for _ in wanted] != wanted:
                    yield track

    def _read(self, name: str, schema: pa.Schema) -> pa.Table:
        """Returns columns of a file; one of an earlier version lacks some.

        Raises:
            UserError: a later version wrote the file.
        """
        uri = storage.join(self.uri, name)
        file = pq.ParquetFile(io.BytesIO(storage.read_bytes(uri)))
        found = int((file.schema_arrow.metadata or {}).get(b"format", 0))
        if found > FORMAT:
            raise UserError(
                f"{uri} is a ledger of format {found}, this version reads up to {FORMAT}; update vsep_ray"
            )
        table = file.read([f.name for f in schema if f.name in file.schema_arrow.names])
        columns = [
            table[f.name].cast(f.type) if f.name in table.column_names else pa.nulls(len(table), f.type)
            for f in schema
        ]
        return pa.table(columns, schema)

    def _write(self, name: str, table: pa.Table) -> None:
        sink = io.BytesIO()
        pq.write_table(table.replace_schema_metadata({"format": str(FORMAT)}), sink)
        storage.write_bytes(storage.join(self.uri, name), sink.getvalue())


class LedgerWriter:
    """The writer commits rows a few at a time: a part file for each very short track would be too many."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.rows = ledger, list[LedgerRow]()
        self.error: OSError | None = None
        self._lock, self._timer = threading.Lock(), threading.Timer(0, lambda: None)

    def add(self, row: LedgerRow) -> None:
        """Commits the row, two seconds from now at the latest.

        Raises:
            OSError: the ledger could not be written.
        """
        with self._lock:
            self.rows.append(row)
            first = len(self.rows) == 1
        if self.error:
            raise self.error
        if first:
            self._timer = threading.Timer(COMMIT_SECONDS, self._flush)
            self._timer.daemon = True
            self._timer.start()

    def flush(self) -> None:
        """Commits what waits.

        Raises:
            OSError: the ledger could not be written.
        """
        self._timer.cancel()
        self._flush()
        if self.error:
            raise self.error

    def _flush(self) -> None:
        with self._lock:
            rows, self.rows = self.rows, []
            try:
                self.ledger.append(rows)
            except OSError as error:
                self.error = error


def new_name(kind: str) -> str:
    """Returns a name for a file of the ledger that no other has."""
    return f"{kind}-{uuid.uuid4().hex}.parquet"


def latest(table: pa.Table) -> pa.Table:
    """Returns the last row of every track in time, sorted by track."""
    if not len(table):
        return table
    order = pc.sort_indices(table, [("track", "ascending"), ("time", "ascending")])
    tracks = pc.take(table["track"], order).combine_chunks()
    is_last = pc.not_equal(tracks[:-1], tracks[1:])
    return table.take(order.filter(pa.concat_arrays([is_last, pa.array([True])])))
