"""What a catalog has to separate, and what is left of it, is settled before anything is touched."""

import contextlib
import logging
import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from vsep_ray import checkpoint, storage
from vsep_ray.audio import io
from vsep_ray.audio.formats import AudioError, holds, libsndfile_subtype
from vsep_ray.bounds import check_values
from vsep_ray.catalog import listing
from vsep_ray.catalog.ledger import Ledger
from vsep_ray.cluster.inputs import find_separator, prior_directories, prior_marks
from vsep_ray.cluster.runtime.nodes import common_precision
from vsep_ray.cluster.separate.settings import Assignment, WorkerSettings
from vsep_ray.config import UserError, fingerprint, what_counts
from vsep_ray.datasets import manifest
from vsep_ray.datasets.track import Track
from vsep_ray.presets import SeparateCatalogConfig
from vsep_ray.separators import Separator
from vsep_ray.streaming import FOUR, SIX, Selection
from vsep_ray.streaming.selection import OTHER

log = logging.getLogger(__name__)
PROBED = 200
"""An estimate reads this number of headers."""
GLANCED = 10
"""A run looks at this number of headers, to say what the model cannot hear of such files."""
PROBED_REMOTE = 10
"""An estimate reads this number of files in a bucket, from where they come whole."""
PLANNING = (
    "status", "fingerprint", "attempts", "stems", "stem_bytes", "audio_seconds", "wall_seconds",
    "batch_size", "precision",
)  # fmt: skip
BYTES = {"float": 4.0, "24": 3.0, "16": 2.0}
COMPRESSED = {"flac": 0.6, "ogg": 0.1, "opus": 0.1, "mp3": 0.1}
"""A container takes this part of the size of plain samples, roughly, for estimates only."""


@dataclass(frozen=True)
class Work:
    """This is a resolved config.

    Attributes:
        settings: what the workers are told.
        stems: names of the stems of a track.
        tracks: the whole catalog.
        before: some columns of the ledger as it was found, a row per track.
        todo: the tracks that need work.
    """

    settings: WorkerSettings
    stems: tuple[str, ...]
    tracks: list[Track]
    before: pa.Table
    todo: list[Assignment]

    @property
    def ledger(self) -> Ledger:
        """The ledger of the output folder."""
        return Ledger(self.settings.output)


def prepare(config: SeparateCatalogConfig) -> Work:
    """Resolves a config and compares the catalog with the ledger; touches nothing but the model cache.

    Raises:
        UserError: a catalog, model, format, stem or template that cannot work.
    """
    check_values(config)
    libsndfile_subtype(config.format, config.subtype)
    root = storage.absolute(config.catalog)
    tracks = listing.read_catalog(root)
    uri, directory, separator = find_separator(config.model, config.storage, config.tracking_uri)
    selection = Selection.of(separator.sources, config.sources)
    stems = selection.stems
    whole = listing.check_names(tracks, stems, config.template, config.format)
    output = storage.absolute(config.output or storage.join(config.storage, "catalogs", default_name(root)))
    names = listing.stem_names(tracks[0].id, stems, config.template, config.format)
    listed = storage.suffix(root) in manifest.ENDINGS
    if not listed and any(listing.would_read(root, storage.join(output, name)) for name in names):
        raise UserError(
            f"output {output} lies in the catalog {root}: the next run would separate the stems; move it"
        )
    before = Ledger(output).read(*PLANNING)
    config = _settled(config, before.filter(pc.equal(before["status"], "separated")))
    options = {name: value for name, value in what_counts(config).items() if name != "type"}
    options["sources"] = _told(selection, config.sources)
    if config.precision != "float32":  # which all stems had before there was a choice
        options["precision"] = config.precision
    if config.channels == "each" and separator.channels == 1:  # before there was a choice it was the middle
        options["channels"] = config.channels
    asks = config.method.asks_priors
    priors = prior_directories(config.priors, config.storage, separator, force=True) if asks else {}
    models = {"model": checkpoint.identity(directory), **({"priors": prior_marks(priors)} if asks else {})}
    settings = WorkerSettings(config, directory, uri, fingerprint(models | options), output, priors=priors)
    todo = _todo(settings, tracks, before, whole)
    glanced = 1 if storage.is_remote(config.catalog) else GLANCED  # from a bucket files come whole
    for words in losses(_probed(todo, glanced), separator, config.channels):
        log.warning(words)
    return Work(settings, stems, tracks, before, todo)


def plan(config: SeparateCatalogConfig) -> dict[str, Any]:
    """Returns what a run would do, estimated from some headers: tracks, hours of audio, bytes of stems.

    ``actor_hours`` is the time of one model replica at the speed that the ledger has seen, None before that;
    ``unwritable`` is how many tracks have a rate or channels that the format cannot hold,
    ``keep_their_ending`` how many have stems in a folder named with it, since another has the same name.
    """
    work = prepare(config)
    infos = _probed(work.todo, PROBED_REMOTE if storage.is_remote(config.catalog) else PROBED)
    share = len(work.todo) / max(1, len(infos))
    hours = share * sum(i.length / i.sample_rate for i in infos) / 3600
    samples = share * sum(i.length * i.channels for i in infos)
    unwritable = share * sum(not holds(config.format, i.sample_rate, i.channels) for i in infos)
    done = work.before.filter(pc.equal(work.before["status"], "separated"))
    audio, wall = (pc.sum(done[name]).as_py() or 0.0 for name in ("audio_seconds", "wall_seconds"))
    auto = "24" if config.format == "flac" else "float"
    size = BYTES.get(config.subtype, BYTES[auto]) * COMPRESSED.get(config.format, 1.0)
    return {
        "tracks": len(work.tracks),
        "todo": len(work.todo),
        "unwritable": round(unwritable),
        "keep_their_ending": sum(assignment.whole for assignment in work.todo),
        "audio_hours": round(hours, 3),
        "output_bytes": round(samples * len(work.stems) * size),
        "actor_hours": round(hours * wall / audio, 3) if audio else None,
        "output": work.settings.output,
        "model": work.settings.model_uri,
    }


def default_name(root: str) -> str:
    """Returns the name of a catalog's output folder: its last part, and a hash, since many are called music.

    Example:
        >>> default_name("/data/live/*.wav")
        'live-cc3fc3'
    """
    fixed = re.sub(r"/[^/]*[*?\[].*", "", root.rstrip("/"))
    return re.sub(r"[^\w.-]+", "_", fixed.rpartition("/")[2]) + "-" + fingerprint(root)[:6]


def _told(selection: Selection, wanted: tuple[str, ...]) -> list[str]:
    """Returns the words for a selection in a ledger's fingerprints: none for all sources of a model, which is
    what none meant before there were ``four`` and ``six``.
    """
    if selection.folded:
        return [FOUR]
    return [] if wanted in ((FOUR,), (SIX,)) else list(wanted)


def _settled(config: SeparateCatalogConfig, done: pa.Table) -> SeparateCatalogConfig:
    """Returns the config with the batch size and the precision that it leaves open: those of the stems that
    are there, so that a continued run makes the same bytes, else what suits the nodes. A GPU's batch size is
    measured as the job begins.
    """
    latest = done.take([pc.index(done["time"], pc.max(done["time"])).as_py()]) if len(done) else None
    batch_size = config.batch_size or (pc.max(done["batch_size"]).as_py() if latest else 0)
    precision = config.precision
    if precision == "auto":
        precision = latest["precision"][0].as_py() or "float32" if latest else common_precision(config.device)
    return replace(config, batch_size=batch_size, precision=precision)


def _todo(
    settings: WorkerSettings, tracks: Sequence[Track], before: pa.Table, whole: Collection[str]
) -> list[Assignment]:
    same = before.filter(pc.equal(before["fingerprint"], settings.fingerprint))
    done: set[str] = set()
    if not (settings.config.overwrite or settings.config.fresh):
        done = _finished(same.filter(pc.is_in(same["track"], pa.array([t.id for t in tracks]))), settings)
    attempts = dict(zip(same["track"].to_pylist(), same["attempts"].to_pylist(), strict=True))
    return [Assignment(t.id, t.uri, attempts.get(t.id, 0), t.id in whole) for t in tracks if t.id not in done]


def _finished(rows: pa.Table, settings: WorkerSettings) -> set[str]:
    """Returns the tracks that need no work: every stem is there in full size, or they failed for good."""
    separated = rows.filter(pc.equal(rows["status"], "separated"))
    tracks = separated if settings.config.retry_failed else rows
    return set(tracks["track"].to_pylist()) - set(Ledger(settings.output).incomplete(separated))


def losses(infos: Sequence[io.AudioInfo], separator: Separator, channels: str) -> list[str]:
    """Returns what a model cannot separate of such files, in words.

    Args:
        infos: of some files of a catalog.
        separator: the model.
        channels: as in `SeparateCatalogConfig`.
    """
    rest = f"'{OTHER}'" if OTHER in separator.sources else "all stems alike"
    of, rate = f"of {len(infos)} files looked at", separator.sample_rate
    higher = sum(info.sample_rate > rate for info in infos)
    wider = (
        sum(info.channels > 1 for info in infos) if separator.channels == 1 and channels == "middle" else 0
    )
    told = [
        (higher, f"hears up to {rate // 2:,} Hz: {of} {higher} go higher, and what they have there"),
        (wider, f"is mono: {of} {wider} are not, and what differs between their sides"),
    ]
    return [f"the model {words} goes to {rest}; --model names another" for number, words in told if number]


def _probed(todo: Sequence[Assignment], count: int) -> list[io.AudioInfo]:
    """Returns what the headers of about ``count`` files, from all over a catalog, say."""
    some = todo[:: max(1, -(-len(todo) // count))]
    with _unheard():
        return [info for assignment in some if (info := _probe(assignment.uri))]


@contextlib.contextmanager
def _unheard() -> Iterator[None]:
    """A context in which nothing reaches standard error: decoders complain there of damaged files, each in
    its own words, and the run says the same in better ones."""
    kept = os.dup(2)
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _probe(uri: str) -> io.AudioInfo | None:
    try:
        return io.probe(uri)
    except AudioError:  # an estimate leaves out what the run will report
        return None
