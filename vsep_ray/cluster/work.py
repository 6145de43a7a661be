"""What there is to separate in a catalog, what is done, what is left: settled before anything is touched."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from vsep_ray.audio import io
from vsep_ray.audio.formats import AudioError, libsndfile_subtype
from vsep_ray.cluster.models import find_separator
from vsep_ray.cluster.worker import Task, WorkerSettings
from vsep_ray.config import UserError, fingerprint
from vsep_ray.data import catalog, storage
from vsep_ray.data.ledger import Ledger, LedgerRow
from vsep_ray.data.track import Track
from vsep_ray.presets import SeparateCatalogConfig

X = TypeVar("X")
PROBED = 200
"""Headers that an estimate reads."""
BYTES = {"float": 4.0, "24": 3.0, "16": 2.0}
COMPRESSED = {"flac": 0.6, "ogg": 0.1, "opus": 0.1, "mp3": 0.1}
"""Size of a container relative to plain samples, roughly; for estimates only."""


@dataclass(frozen=True)
class Work:
    """A resolved config.

    Attributes:
        settings: for the workers.
        sources: the stems of the model.
        tracks: the whole catalog.
        before: the ledger as it was found, by track.
        todo: the tracks that need work.
    """

    settings: WorkerSettings
    sources: tuple[str, ...]
    tracks: list[Track]
    before: dict[str, LedgerRow]
    todo: list[Task]

    @property
    def ledger(self) -> Ledger:
        """The ledger of the output folder."""
        return Ledger(self.settings.output)


def prepare(config: SeparateCatalogConfig) -> Work:
    """Resolve a config and compare the catalog with the ledger; touches nothing but the model cache.

    Raises:
        UserError: a catalog, model, format or template that cannot work.
    """
    _check(config)
    root = _absolute(config.catalog)
    tracks = catalog.read_catalog(root)
    uri, directory, separator = find_separator(config.model, config.storage, config.tracking_uri)
    catalog.check_names(tracks, separator.sources, config.template, config.format)
    output = _absolute(config.output or storage.join(config.storage, "catalogs", default_name(root)))
    _refuse_output_in_catalog(root, output, tracks)
    settings = _settings(config, uri, directory, output)
    before = Ledger(output).read()
    return Work(settings, separator.sources, tracks, before, _todo(config, settings, tracks, before))


def plan(config: SeparateCatalogConfig) -> dict[str, Any]:
    """What a run would do, estimated from some headers: tracks, hours of audio, bytes of stems.

    ``actor_hours`` is the time of one model replica at the speed that the ledger has seen, None before that.
    """
    work = prepare(config)
    infos = [info for task in _spread(work.todo, PROBED) if (info := _probe(task.uri))]
    share = len(work.todo) / max(1, len(infos))
    hours = share * sum(i.length / i.sample_rate for i in infos) / 3600
    samples = share * sum(i.length * i.channels for i in infos)
    done = [row for row in work.before.values() if row.status == "separated"]
    speed = sum(row.audio_seconds for row in done) / max(1e-9, sum(row.wall_seconds for row in done))
    size = BYTES[_sample_format(config)] * COMPRESSED.get(config.format, 1.0)
    return {
        "tracks": len(work.tracks),
        "todo": len(work.todo),
        "audio_hours": round(hours, 3),
        "output_bytes": round(samples * len(work.sources) * size),
        "actor_hours": round(hours / speed, 3) if speed else None,
        "output": work.settings.output,
        "model": work.settings.model_uri,
    }


def default_name(root: str) -> str:
    """The name of a catalog's output folder: its last part, and a hash, since many catalogs are called
    ``music``.

    Example:
        >>> default_name("/data/live/*.wav")
        'live-cc3fc3'
    """
    fixed = re.sub(r"/[^/]*[*?\[].*", "", root.rstrip("/"))
    return re.sub(r"[^\w.-]+", "_", fixed.rpartition("/")[2]) + "-" + fingerprint(root)[:6]


def _check(config: SeparateCatalogConfig) -> None:
    libsndfile_subtype(config.format, config.subtype)
    if not config.catalog:
        example = "jobs/separate_catalog.py --catalog FOLDER"
        raise UserError(
            f"--catalog is missing: a folder, glob, .csv or .parquet manifest, or file; {example}"
        )
    if not 0 <= config.overlap <= 0.5:
        raise UserError(f"--overlap must lie in [0, 0.5], got {config.overlap}")
    if config.chunk_seconds <= 0 or config.batch_size < 1:
        raise UserError("--chunk-seconds must be positive and --batch-size at least 1")


def _absolute(uri: str) -> str:
    return uri if storage.is_remote(uri) else str(storage.local_path(uri))  # workers have another cwd


def _settings(config: SeparateCatalogConfig, uri: str, directory: Path, output: str) -> WorkerSettings:
    options = {
        name: getattr(config, name) for name in ("template", "format", "subtype", "chunk_seconds", "overlap")
    }
    identity = fingerprint({"model": _digest(directory), **options})
    return WorkerSettings(str(directory), uri, identity, output, **options, batch_size=config.batch_size)


def _digest(directory: Path) -> str:
    """A hash of what a model computes: its config and weights, wherever it lies and whatever its name is."""
    digest = hashlib.sha256()
    for name in ("config.json", "model.safetensors"):
        with (directory / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _refuse_output_in_catalog(root: str, output: str, tracks: Sequence[Track]) -> None:
    inside = storage.is_directory(root) and (output + "/").startswith(root.rstrip("/") + "/")
    if inside or any(track.uri.startswith(output.rstrip("/") + "/") for track in tracks):
        raise UserError(
            f"output {output} lies in the catalog {root}: the next run would separate the stems; move it"
        )


def _todo(
    config: SeparateCatalogConfig,
    settings: WorkerSettings,
    tracks: Sequence[Track],
    before: dict[str, LedgerRow],
) -> list[Task]:
    ledger, again = Ledger(settings.output), config.overwrite or config.fresh
    return [
        Task(track.id, track.uri, _attempts(before.get(track.id), settings))
        for track in tracks
        if again or _needs_work(ledger, before.get(track.id), settings.fingerprint, config.retry_failed)
    ]


def _needs_work(ledger: Ledger, row: LedgerRow | None, identity: str, retry_failed: bool) -> bool:
    if row is None or row.fingerprint != identity:
        return True
    return retry_failed if row.status == "failed" else not ledger.is_finished(row, identity)


def _attempts(row: LedgerRow | None, settings: WorkerSettings) -> int:
    return row.attempts if row and row.fingerprint == settings.fingerprint else 0


def _sample_format(config: SeparateCatalogConfig) -> str:
    return {"auto": "24" if config.format == "flac" else "float"}.get(config.subtype, config.subtype)


def _spread(items: Sequence[X], count: int) -> Sequence[X]:
    return items[:: max(1, -(-len(items) // count))]


def _probe(uri: str) -> io.AudioInfo | None:
    try:
        return io.probe(uri)
    except AudioError:  # an estimate leaves out what the run will report
        return None
