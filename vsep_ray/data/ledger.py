"""What happened to every track of a catalog: Parquet under ``<output>/_ledger/``, one row per track.

A row is the commit: stems without one do not count and are replaced. Actors append small part files
atomically; the driver compacts them into ``ledger.parquet``. Of several rows of one track the latest holds,
so that a compaction that was killed half-way does no harm.
"""

import io
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from vsep_ray.data import storage

COMPACTED = "ledger.parquet"


@dataclass(frozen=True)
class LedgerRow:
    """One track.

    Attributes:
        track: its id in the catalog.
        status: ``separated`` or ``failed``.
        stage, message: of an error; see `vsep_ray.audio.formats.Stage`.
        audio_seconds, wall_seconds: length of the track and time that it took, seconds.
        sample_rate: Hz; likewise of the stems.
        channels: audio channels; likewise of the stems.
        samples: per channel; likewise of the stems.
        peak: largest absolute sample of all stems before the gain; 1 is full scale.
        gain: common factor of all stems; below 1 where an integer format would have clipped.
        remainder_db: power of mixture - sum of the model's stems relative to the mixture's, dB, at least
        -200. stems: names relative to the output folder.
        stem_bytes: size of each stem, bytes.
        model: URI of the model.
        fingerprint: of the model and all options that change the stems.
        chunk_seconds, batch_size: as used; smaller than asked for where memory ran out.
        attempts: how many times it was tried under this fingerprint.
        node: host name.
        time: when the row was made, seconds since 1970.
    """

    track: str
    status: Literal["separated", "failed"]
    fingerprint: str
    model: str = ""
    stage: str = ""
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
    chunk_seconds: float = 0.0
    batch_size: int = 0
    attempts: int = 1
    node: str = ""
    time: float = field(default_factory=time.time)


_TYPES: dict[Any, pa.DataType] = {
    str: pa.string(),
    float: pa.float64(),
    int: pa.int64(),
    tuple[str, ...]: pa.list_(pa.string()),
    tuple[int, ...]: pa.list_(pa.int64()),
}
_HINTS = get_type_hints(LedgerRow)
SCHEMA = pa.schema([(f.name, _TYPES.get(_HINTS[f.name], pa.string())) for f in fields(LedgerRow)])


class Ledger:
    """The ledger of an output folder."""

    def __init__(self, output: str) -> None:
        self.output, self.uri = output, storage.join(output, "_ledger")

    def append(self, rows: Iterable[LedgerRow]) -> None:
        """Commit rows; atomic, and safe from any number of processes."""
        self._write(f"part-{uuid.uuid4().hex}.parquet", rows)

    def read(self) -> dict[str, LedgerRow]:
        """The latest row of every track."""
        rows = sorted((row for name in self._parts() for row in self._read(name)), key=lambda row: row.time)
        return {row.track: row for row in rows}

    def compact(self) -> str:
        """Merge all parts into one file, sorted by track; its URI. Only the driver may, while no actor
        runs."""
        parts = self._parts()
        rows = self.read()
        self._write(COMPACTED, (rows[track] for track in sorted(rows)))
        for name in parts:
            if name != COMPACTED:
                storage.delete(storage.join(self.uri, name))
        return storage.join(self.uri, COMPACTED)

    def is_finished(self, row: LedgerRow, fingerprint: str) -> bool:
        """Whether a track needs no more work: separated with these options, and every stem there in full
        size.
        """
        return row.status == "separated" and row.fingerprint == fingerprint and self._has_stems(row)

    def _has_stems(self, row: LedgerRow) -> bool:
        sizes = zip(row.stems, row.stem_bytes, strict=True)
        return all(storage.size(storage.join(self.output, name)) == size for name, size in sizes)

    def _parts(self) -> list[str]:
        return [name for name in storage.list_files(self.uri) if name.endswith(".parquet")]

    def _read(self, name: str) -> Iterator[LedgerRow]:
        table = pq.read_table(io.BytesIO(storage.read_bytes(storage.join(self.uri, name))))
        return (_to_row(values) for values in table.to_pylist())

    def _write(self, name: str, rows: Iterable[LedgerRow]) -> None:
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist([asdict(row) for row in rows], SCHEMA), sink)
        storage.write_bytes(storage.join(self.uri, name), sink.getvalue())


def _to_row(values: Mapping[str, object]) -> LedgerRow:
    names = {f.name for f in fields(LedgerRow)}
    known = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items() if name in names}
    return LedgerRow(**known)  # type: ignore[arg-type]
