"""Separate every track of a catalog over the cluster, resumably: the work of ``jobs/separate_catalog.py``.

    catalog -> tracks minus those finished in the ledger -> a pool of actors, one track each -> stems + ledger
    rows

Audio never enters the object store: a row in is a name, a row out is a status. A track that takes its process
with it is tried twice; it is then missing from the results and gets a failed row of stage ``crash``.
"""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

import pandas as pd
import ray
import ray.data

from vsep_ray.cluster.runs import start_run
from vsep_ray.cluster.work import Work, plan, prepare
from vsep_ray.cluster.worker import Task, Worker, WorkerSettings
from vsep_ray.data.ledger import LedgerRow
from vsep_ray.presets import SeparateCatalogConfig
from vsep_ray.tracking import Tracker

__all__ = ["plan", "run"]
log = logging.getLogger(__name__)


def run(config: SeparateCatalogConfig) -> dict[str, Any]:
    """Do what is missing of a catalog.

    Returns:
        The job's figures; tracks = separated (now) + skipped (before) + failed (now or before). ``status`` is
        ``failed`` if more than ``max_failed`` of the tracks are.

    Raises:
        UserError: a catalog, model, format or template that cannot work; nothing was touched then.
    """
    work, started = prepare(config), time.perf_counter()
    log.info("%d of %d tracks to do, into %s", len(work.todo), len(work.tracks), work.settings.output)
    name = work.settings.output.rstrip("/").rpartition("/")[2]
    tags = {"model_uri": work.settings.model_uri, "fingerprint": work.settings.fingerprint}
    with start_run(config, "catalog", name, tags=tags) as tracker:
        for _ in _progress(_separate(work.settings, work.todo, config.num_actors), len(work.todo), tracker):
            pass
        rows = _with_crashes(work)
        ledger = work.ledger.compact()
        figures = _figures(config, work, rows, time.perf_counter() - started)
        tracker.metrics({name: v for name, v in figures.items() if isinstance(v, int | float)})
        _log_tables(tracker, rows)
        return {"run_id": tracker.run_id, **figures, "ledger": ledger}


def _separate(settings: WorkerSettings, todo: Sequence[Task], num_actors: int) -> Iterator[dict[str, Any]]:
    """Statuses as they come; nothing comes of a row that kills its process."""
    if not todo:
        return
    gpus = int(ray.cluster_resources().get("GPU", 0))
    replicas = num_actors or gpus or int(ray.cluster_resources().get("CPU", 1))
    size = min(replicas, len(todo))
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    # One row per block, one block per actor at a time and one retry: so a crashing row ends, and ends alone.
    # Actors restart for ever, Ray's default: a pool never replaces a dead one (ray-project/ray #62746).
    rows = ray.data.from_items([task.to_row() for task in todo], override_num_blocks=len(todo))
    results = rows.map(
        Worker,  # type: ignore[arg-type]  # a class of callables: Ray makes one per actor
        fn_constructor_args=(settings,),
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=size, max_tasks_in_flight_per_actor=1),
        num_cpus=1,
        num_gpus=1 if gpus else 0,
        ray_remote_args_fn=lambda: {"max_task_retries": 1},
    )
    results.context.max_errored_blocks, results.context.enable_progress_bars = -1, False
    yield from results.iter_rows()


class _Progress:
    """Logs every few seconds, also while no track ends."""

    def __init__(self, total: int, seconds: float = 5.0) -> None:
        self.total, self.seconds, self.started = total, seconds, time.perf_counter()
        self.done, self.audio_seconds, self.stop = 0, 0.0, threading.Event()
        self.thread = threading.Thread(target=self._log_regularly, daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop.set()
        self.thread.join()

    @property
    def realtime_factor(self) -> float:
        return self.audio_seconds / max(1e-9, time.perf_counter() - self.started)

    def line(self) -> str:
        """The state in words."""
        elapsed = time.perf_counter() - self.started
        left = (
            f"{elapsed / self.done * (self.total - self.done) / 60:.1f} min left" if self.done else "starting"
        )
        hours = f"{self.audio_seconds / 3600:.2f} h of audio"
        return f"{self.done}/{self.total} tracks, {hours}, {self.realtime_factor:.1f} x real time, {left}"

    def _log_regularly(self) -> None:
        while not self.stop.wait(self.seconds):
            log.info(self.line())


def _progress(results: Iterator[dict[str, Any]], total: int, tracker: Tracker) -> Iterator[dict[str, Any]]:
    with _Progress(total) as progress:
        for result in results:
            progress.done += 1
            progress.audio_seconds += result["audio_seconds"]
            tracker.metrics(
                {"tracks_done": progress.done, "progress_realtime_factor": progress.realtime_factor},
                progress.done,
            )
            yield result


def _with_crashes(work: Work) -> dict[str, LedgerRow]:
    """The ledger's rows of the catalog, after failed ones were added for tasks that left none."""
    rows = work.ledger.read()
    lost = [task for task in work.todo if rows.get(task.track) == work.before.get(task.track)]
    s = work.settings
    crashed = [
        LedgerRow(
            task.track,
            "failed",
            s.fingerprint,
            s.model_uri,
            stage="crash",
            message="its process died, twice (killed, out of memory, or a crash in a decoder)",
            attempts=task.attempts + 1,
        )
        for task in lost
    ]
    if crashed:
        log.warning(
            "%d tracks took their process with them: %s", len(lost), [task.track for task in lost][:10]
        )
        work.ledger.append(crashed)
    rows |= {row.track: row for row in crashed}
    return {track.id: rows[track.id] for track in work.tracks}


def _figures(
    config: SeparateCatalogConfig, work: Work, rows: dict[str, LedgerRow], wall_seconds: float
) -> dict[str, Any]:
    new = [rows[task.track] for task in work.todo]
    separated = [row for row in new if row.status == "separated"]
    failed = sum(row.status == "failed" for row in rows.values())
    audio_seconds = sum(row.audio_seconds for row in separated)
    return {
        "status": "failed" if failed > config.max_failed * len(rows) else "done",
        "tracks": len(rows),
        "separated": len(separated),
        "skipped": len(rows) - len(separated) - failed,
        "failed": failed,
        "audio_seconds": round(audio_seconds, 3),
        "wall_seconds": round(wall_seconds, 3),
        "realtime_factor": round(audio_seconds / max(1e-9, wall_seconds), 3),
        "output": work.settings.output,
        "model": work.settings.model_uri,
    }


def _log_tables(tracker: Tracker, rows: dict[str, LedgerRow]) -> None:
    table = pd.DataFrame([asdict(row) for row in rows.values()])
    tracker.text(table.to_csv(index=False), "ledger.csv")
    failed = table[table.status == "failed"]
    tracker.text(failed[["track", "stage", "message", "attempts"]].to_csv(index=False), "failed.csv")
