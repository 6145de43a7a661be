"""A catalog run leaves figures, tables, a page to listen to, and the way to its model in MLflow."""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vsep_ray import checkpoint, storage
from vsep_ray.audio import io
from vsep_ray.audio.formats import AudioError
from vsep_ray.audio.resampling import Audio, rechunk
from vsep_ray.cluster.separate.plan import Work, default_name
from vsep_ray.cluster.separate.settings import WorkerSettings
from vsep_ray.report.catalog import catalog_page
from vsep_ray.report.media import Clip
from vsep_ray.tracking import Tracker

log = logging.getLogger(__name__)
EXCERPT_SECONDS = 10.0
LATEST_START_SECONDS = 60.0
"""An excerpt begins here at the latest: a compressed file is decoded up to there."""
MOST_ROWS = 1000
"""A table among the artefacts has at most this number of rows; the ledger has all."""


def provenance(settings: WorkerSettings) -> dict[str, str]:
    """Returns tags that name the exact model, and its training run; MLflow shows the note as a link."""
    made = checkpoint.read_provenance(settings.directory)
    tags = {"model_uri": settings.model_uri, "fingerprint": settings.fingerprint, "output": settings.output}
    tags |= {f"model_{name}": str(made[name]) for name in ("run_id", "regime", "git") if made.get(name)}
    version = re.fullmatch(r"models:/(.+)/(\d+)", settings.model_uri)
    name = f"[{version[0]}](#/models/{version[1]}/versions/{version[2]})" if version else settings.model_uri
    return {**tags, "mlflow.note.content": f"Model {name}; stems and ledger in {settings.output}"}


def record(tracker: Tracker, work: Work, table: pa.Table, figures: Mapping[str, Any]) -> str:
    """Logs metrics, ``summary.json``, ``failed.csv``, ``tracks.csv`` and ``listen.html``, the page to listen
    to, and returns where the page lies in the storage; "" where none is wanted.
    """
    tracker.metrics({name: v for name, v in figures.items() if isinstance(v, int | float)})
    tracker.text(json.dumps(figures, indent=1), "summary.json")
    failed = table.filter(pc.equal(table["status"], "failed"))
    _table(tracker, failed.select(["track", "stage", "message", "attempts", "node"]), "failed.csv")
    separated = _by_doubt(table)
    _table(tracker, table.take(separated[:MOST_ROWS]).drop_columns(["stage", "message"]), "tracks.csv")
    config = work.settings.config
    if not config.listening_tracks:
        return ""
    shown = table.take(_spread(table, separated, config.listening_tracks)).to_pylist()
    clips = [clip for row in shown for clip in _clips(work, row)]
    facts = {name: v for name, v in figures.items() if name != "error"}
    title = f"Separated: {config.catalog}"
    html = catalog_page(title, facts, failed[:MOST_ROWS].to_pylist(), shown, work.stems, clips)
    tracker.text(html, "listen.html")
    page = storage.join(config.storage, "reports", f"catalog-{default_name(work.settings.output)}.html")
    storage.write_bytes(page, html.encode())
    return page


def _table(tracker: Tracker, table: pa.Table, name: str) -> None:
    tracker.text(table[:MOST_ROWS].to_pandas().to_csv(index=False), name)


def _by_doubt(table: pa.Table) -> pa.Array:
    """Returns the places of the separated tracks: the least confident first, else by name."""
    order = pc.sort_indices(table, [("lowest_confidence_db", "ascending"), ("track", "ascending")])
    return order.filter(pc.equal(table["status"], "separated").combine_chunks().take(order))


def _spread(table: pa.Table, places: pa.Array, count: int) -> pa.Array:
    """Returns the first places if they are sorted by doubt, else some from all over the catalog."""
    if table["lowest_confidence_db"].null_count < len(table):
        return places[:count]
    return places.take(pa.array(range(0, len(places), max(1, -(-len(places) // count))), pa.int64()))


def _clips(work: Work, row: Mapping[str, Any]) -> Iterator[Clip]:
    """Yields ten seconds of a track and of its stems, as they were written."""
    track = next(track.uri for track in work.tracks if track.id == row["track"])
    stems = [storage.join(work.settings.output, name) for name in row["stems"]]
    start = min(LATEST_START_SECONDS, max(0.0, row["audio_seconds"] / 3))
    for name, uri in zip(("mixture", *work.stems), (track, *stems), strict=True):
        try:
            audio, rate = _excerpt(uri, start, EXCERPT_SECONDS)
        except (AudioError, OSError) as error:  # gone since: the page does without it
            log.warning("not on the listening page: %s: %s", PurePosixPath(uri).name, error)
            continue
        yield Clip(row["track"], name, "mixture" if uri == track else "stem", audio[:2], rate)


def _excerpt(uri: str, start_seconds: float, seconds: float) -> tuple[Audio, int]:
    """Returns part of a sound file, shorter at its end: float32 samples (C, T) and the sample rate in Hz.

    Raises:
        AudioError: stage ``read`` or ``decode``; also where the file ends before the part begins.
    """
    with io.open_blocks(uri) as (info, blocks):
        start = round(start_seconds * info.sample_rate)
        whole = rechunk(blocks, start + round(seconds * info.sample_rate))
        audio = next(whole, np.zeros((1, 0), np.float32))[:, start:]
    if not audio.shape[1]:
        raise AudioError("decode", f"no sound at {start_seconds:g} s")
    return audio, info.sample_rate
