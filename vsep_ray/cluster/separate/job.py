"""This job separates every track of a catalog over the cluster, resumably.

    catalog - tracks that the ledger says are finished -> assignments -> groups -> a pool of actors
    each actor: a track -> its stems in the output folder, then its row in the ledger
    the driver: the ledger's new rows -> progress, and whether to stop

Audio never enters the object store: names of tracks go to the actors, and of each group comes back only
whether the job must stop. What became of the tracks is in the ledger alone. An actor that dies loses the
tracks of its group that it had not committed; they come again in smaller groups, in the end alone and twice.
A track that kills its process each time ends as a failed row of stage ``crash`` and takes no other with it.
"""

import contextlib
import logging
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import ray

from vsep_ray import storage
from vsep_ray.catalog.ledger import LedgerRow
from vsep_ray.chunking import BATCH_SIZE
from vsep_ray.cluster.inputs import shared
from vsep_ray.cluster.runtime import capacity, talk
from vsep_ray.cluster.runtime.progress import Progress
from vsep_ray.cluster.runtime.tracked_run import forget_run, start_run
from vsep_ray.cluster.separate import report
from vsep_ray.cluster.separate.follower import Follower
from vsep_ray.cluster.separate.plan import Work, plan, prepare
from vsep_ray.cluster.separate.pool import pool, results
from vsep_ray.cluster.separate.settings import Assignment, WorkerSettings
from vsep_ray.cluster.separate.worker import Worker, saturating_batch, staging_root
from vsep_ray.config import UserError, fingerprint
from vsep_ray.presets import SeparateCatalogConfig
from vsep_ray.storage.locks import only_one, remove_abandoned
from vsep_ray.tracking import system_metrics

__all__ = ["plan", "run"]
log = logging.getLogger(__name__)
GROUPS = (256, 16, 1, 1)
"""A group has at most this number of tracks: at first, and when tracks come again whose actor died."""
PATIENCE_SECONDS = 10.0
"""The end of a run waits for this long for its dead actors to let go of their files."""


def run(config: SeparateCatalogConfig, worker: type[Worker] = Worker) -> dict[str, Any]:
    """Does what is missing of a catalog, by actors of a class of workers.

    Returns:
        The job's figures; tracks = separated (now) + skipped (before) + failed (now or before) + undone.
        ``status`` is ``failed`` if more than ``max_failed`` of the tracks are, or if the job had to stop.

    Raises:
        UserError: a catalog, model, format or template that cannot work, or a second run into the same
            folder; nothing was touched then.
    """
    work, started = prepare(config), time.perf_counter()
    given = replace(config, model=work.settings.model_uri, output=work.settings.output, sources=work.stems)
    tags, unfinished = report.provenance(work.settings), f"catalog-{fingerprint(work.settings.output)}"
    name = work.settings.output.rstrip("/").rpartition("/")[2]
    with (
        _alone(work.settings.output),
        start_run(config, "catalog", f"catalog {name}", name=unfinished, tags=tags, params=given) as tracker,
    ):
        _say_what_is_to_do(work)
        tracker.dataset(name, fingerprint([track.id for track in work.tracks]), config.catalog)
        _void(work)
        directory = shared(work.settings.model_uri, work.settings.directory, config.storage)
        # a run of MLflow that goes on has rows of an earlier start
        this = f"{tracker.run_id}+{uuid.uuid4().hex[:8]}"
        settings = _sized(replace(work.settings, directory=directory, run=this))
        work = replace(work, settings=settings, before=work.before[:0])
        follower = Follower(work.ledger, this, len(work.todo), tracker, config.max_alike)
        with system_metrics(tracker), Progress("separation", "tracks", follower.look(), follower.look):
            stopped = _separate(work, worker, follower)
            follower.glance(at_once=True)
        ledger = _tidy(work)
        table = _of_catalog(work)
        figures = _figures(work, table, time.perf_counter() - started, stopped)
        page = report.record(tracker, work, table, figures)
        tracker.finish("FINISHED" if figures["status"] == "done" else "FAILED")
        forget_run(config.storage, unfinished)
        return {"run_id": tracker.run_id, **figures, "ledger": ledger, "report": page}


def _say_what_is_to_do(work: Work) -> None:
    log.info("%d of %d tracks to do, into %s", len(work.todo), len(work.tracks), work.settings.output)
    if whole := [a.track for a in work.todo if a.whole]:
        words = "%d tracks are called as others are but for the ending, which their stems' folders keep: %s"
        log.info(words, len(whole), whole[:10])


def closing(config: SeparateCatalogConfig, figures: Mapping[str, Any]) -> list[talk.Line]:
    """Returns what is said at the end of the job: totals, reasons of failures, where the stems are."""
    counts = {
        "separated": figures["separated"], "there before": figures["skipped"],
        "failed": figures["failed"], "not reached": figures["undone"],
    }  # fmt: skip
    told = ", ".join(f"{number:,} {words}" for words, number in counts.items() if number)
    speed = f"; {figures['realtime_factor']:.1f} x real time" if figures["separated"] else ""
    stages = figures["reasons"].items()
    reasons = "; ".join(f"{v['tracks']} at stage {stage}, such as {v['such_as']}" for stage, v in stages)
    cure = "; when that is mended, add --retry-failed to the same command"
    return [
        ("", f"{figures['tracks']:,} tracks: {told}{speed}"),
        ("failed", reasons + cure if reasons else ""),
        ("stems", figures["output"]),
        ("page", figures["report"]),
    ]


def _sized(settings: WorkerSettings) -> WorkerSettings:
    """Returns the settings with a batch size: on GPUs the one that saturates one, where nobody chose it."""
    config = settings.config
    if config.batch_size or not capacity.gpus(config.device):
        return replace(settings, config=replace(config, batch_size=config.batch_size or BATCH_SIZE))
    size = ray.get(capacity.on_device(saturating_batch, config.device).remote(settings))
    log.info("batches of %d chunks saturate a GPU", size)
    return replace(settings, config=replace(config, batch_size=size))


def _separate(work: Work, worker: type[Worker], follower: Follower) -> str | None:
    """Does all that is to do, and returns why it had to stop, or None if it came to its end."""
    todo = work.todo
    s = work.settings
    size = min(s.config.num_actors or capacity.slots(s.config.device), len(todo))
    with pool(worker, s, size, s.config.device) as actors:
        for limit in GROUPS:
            for fatal in results(actors, _grouped(todo, size, limit)):
                follower.glance()
                if stop := fatal or follower.stop:
                    log.error(stop)
                    return stop
            if not (todo := _lost(work)):
                return None
            log.warning("%d tracks were lost with their actors: %s", len(todo), [t.track for t in todo[:10]])
    words = "its process died each time (killed, out of memory, or a crash in a decoder)"
    crash = LedgerRow("", "failed", s.fingerprint, s.model_uri, stage="crash", message=words, run=s.run)
    work.ledger.append(replace(crash, track=t.track, attempts=t.attempts + 1) for t in todo)
    return None


def _void(work: Work) -> None:
    """Says of stems of another model or other options that they are being replaced, before they are.

    Were the run killed, their old rows would vouch for new files.
    """
    other = pc.not_equal(work.before["fingerprint"], work.settings.fingerprint)
    old = work.before.filter(pc.and_(other, pc.equal(work.before["status"], "separated")))
    replaced = set(old["track"].to_pylist())
    row = LedgerRow("", "failed", "", stage="replaced", message="its stems are being replaced")
    work.ledger.append(replace(row, track=t.track) for t in work.todo if t.track in replaced)


def _grouped(todo: Sequence[Assignment], actors: int, limit: int) -> Iterator[Sequence[Assignment]]:
    """Yields groups that get smaller to the end, so that all actors end together."""
    start = 0
    while start < len(todo):
        size = max(1, min(limit, (len(todo) - start) // (2 * actors)))
        yield todo[start : start + size]
        start += size


def _lost(work: Work) -> list[Assignment]:
    """Returns the assignments that have no row of this run."""
    table = work.ledger.read("run")
    mine = set(table.filter(pc.equal(table["run"], work.settings.run))["track"].to_pylist())
    return [assignment for assignment in work.todo if assignment.track not in mine]


@contextlib.contextmanager
def _alone(output: str) -> Iterator[None]:
    """Refuses a second run into one folder at a time; in a bucket nobody can tell."""
    root = staging_root(output)
    beside = root.name == "_ledger"  # where there are no locks the folder is everybody's
    with only_one(root / ("run.lock" if beside else f"run-{fingerprint(output)}.lock")) as first:
        if not first and not storage.is_remote(output):
            raise UserError(
                f"another run separates into {output} at this moment; wait for its end, or stop it"
            )
        yield


def _tidy(work: Work) -> str:
    """Removes what actors that were killed left, and returns the URI of the compacted ledger."""
    root = staging_root(work.settings.output)
    deadline = time.monotonic() + PATIENCE_SECONDS
    remote = storage.is_remote(work.settings.output)
    while remove_abandoned(root) and time.monotonic() < deadline and not remote:
        time.sleep(0.2)
    for name in filter(storage.is_leftover, storage.list_folder(work.ledger.uri)):
        storage.delete(storage.join(work.ledger.uri, name))
    return work.ledger.compact()


def _of_catalog(work: Work) -> pa.Table:
    """Returns the ledger's rows of the catalog's tracks under this model and its options."""
    table = work.ledger.read()
    tracks = pa.array([track.id for track in work.tracks], pa.string())
    same = pc.equal(table["fingerprint"], work.settings.fingerprint)
    return table.filter(pc.and_(same, pc.is_in(table["track"], tracks)))


def _reasons(table: pa.Table) -> dict[str, dict[str, Any]]:
    """Returns stage -> how many tracks failed at it, and the words of one of them."""
    failed = table.filter(pc.equal(table["status"], "failed"))
    first = {row["stage"]: row for row in failed.select(["stage", "track", "message"]).to_pylist()[::-1]}
    return {
        row["values"]: {
            "tracks": row["counts"],
            "such_as": "{track}: {message}".format(**first[row["values"]]),
        }
        for row in pc.value_counts(failed["stage"]).to_pylist()
    }


def _figures(work: Work, table: pa.Table, wall_seconds: float, stopped: str | None) -> dict[str, Any]:
    is_separated = pc.equal(table["status"], "separated")  # masks: the rows of a million tracks are 250 MB
    is_new = pc.and_(is_separated, pc.equal(table["run"], work.settings.run))
    separated, new = (pc.sum(mask).as_py() or 0 for mask in (is_separated, is_new))
    total, failed = len(work.tracks), len(table) - separated
    audio_seconds = pc.sum(table["audio_seconds"].filter(is_new)).as_py() or 0.0
    return {
        "status": "failed" if stopped or failed > work.settings.config.max_failed * total else "done",
        **({"error": stopped} if stopped else {}),
        "tracks": total,
        "separated": new,
        "skipped": separated - new,
        "failed": failed,
        "undone": total - len(table),
        "reasons": _reasons(table),
        "audio_seconds": round(audio_seconds, 3),
        "wall_seconds": round(wall_seconds, 3),
        "realtime_factor": round(audio_seconds / max(1e-9, wall_seconds), 3),
        "output": work.settings.output,
        "model": work.settings.model_uri,
    }
