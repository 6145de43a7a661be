"""A job's flags name its crops, priors and separator; without a name the latest in the storage is meant.

Of separators it is the latest that did not learn from toy waves, and where there is none the bundled one.
"""

import dataclasses
import functools
import hashlib
import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vsep_ray import checkpoint, pretrained, storage
from vsep_ray.cluster.join_crops import join
from vsep_ray.cluster.prepare_crops import prepare
from vsep_ray.config import UserError
from vsep_ray.crops.statistics import contribution_table
from vsep_ray.crops.store import CropStore, latest_store
from vsep_ray.datasets.toy import SHAPES
from vsep_ray.presets import PREPARE_CROPS, CropsJobConfig
from vsep_ray.pretrained import BUNDLED
from vsep_ray.separators import Separator
from vsep_ray.tracking import Tracker, exact_model, resolve_model

log = logging.getLogger(__name__)
DISCRIMINATION = "discrimination.json"
"""train_priors.py leaves this file beside its priors: which of them tell their sources apart."""
CACHE = "models_cache"
"""Models from elsewhere are kept in this folder of the storage, or of the home beside a bucket."""


def crop_store(config: CropsJobConfig, length: int = 0) -> CropStore:
    """Returns the store that ``--crops`` names, several of them joined, else the latest; toy crops are made
    where there are none.

    Args:
        config: the job's.
        length: samples of a training crop; 0: all of a stored one.

    Raises:
        UserError: there is no store, and the preset's data cannot be made; the message has the command. Or
            several do not fit together.
    """
    if uris := config.crops or tuple(filter(None, [latest_store(config.storage)])):
        stores = [CropStore.open(storage.absolute(uri)) for uri in uris]
        store = _joined(stores, config, length) if len(stores) > 1 else stores[0]
        if store.members:
            log.info("%s is joined of\n%s", store.uri, contribution_table(store.contributions))
        why = "as named" if config.crops else f"the newest in {config.storage}; --crops names others"
        level = logging.DEBUG if config.crops else logging.INFO  # what was named needs no words
        log.log(level, "crops %s (%s, %s); %s", store.uri, store.dataset, in_words(store), why)
        return store
    recipe = PREPARE_CROPS.get(config.preset.partition("-")[0], PREPARE_CROPS["toy"])
    if recipe.dataset.needs_files:
        raise UserError(
            f"no crop store in {config.storage}; "
            f"make one with jobs/prepare_crops.py --preset {config.preset} --root ..."
        )
    return CropStore.open(prepare(dataclasses.replace(recipe, storage=config.storage))["output"])


def _joined(stores: list[CropStore], config: CropsJobConfig, length: int) -> CropStore:
    shortest = min(stores, key=lambda store: store.length)
    if length > shortest.length:
        raise UserError(
            f"--length {length} is more than the crops of {shortest.uri} have ({shortest.length}); say "
            f"--length {shortest.length}, or prepare longer crops with jobs/prepare_crops.py --crop.length"
        )
    return join(stores, config)


def log_crops(tracker: Tracker, store: CropStore) -> None:
    """Records which crops a run reads, and where they are joined what each member contributes."""
    tracker.dataset(store.dataset, store.mark, store.uri)
    if store.members:
        tracker.text(contribution_table(store.contributions), "crops.csv")


def prior_directories(
    priors: str, root: str, wanted: CropStore | Separator, force: bool = False
) -> dict[str, str]:
    """Returns source -> checkpoint directory of its prior.

    Args:
        priors: a folder, or the run id of train_priors.py; "" means the latest below ``root``.
        root: the storage.
        wanted: whose sources, sample rate and channels the priors must have.
        force: whether priors that did not pass their gate are used all the same.

    Raises:
        UserError: a source has no prior, its format is another, or it did not pass its gate.
    """
    folder = priors if priors and storage.is_directory(priors) else _trained_priors(priors, root)
    if not priors:
        log.info("priors %s; the newest in %s, --priors names others", folder, root)
    found = {s: storage.join(folder, s) for s in wanted.sources}
    if missing := [s for s, d in found.items() if not storage.exists(storage.join(d, "config.json"))]:
        there = sorted({path.partition("/")[0] for path in storage.list_files(folder) if "/" in path})
        raise UserError(
            f"the priors in {folder} are of {', '.join(there) or 'no source'}, not of {', '.join(missing)}; "
            "name others by --priors, or train them with jobs/train_priors.py --crops ..."
        )
    for source, directory in found.items():
        _check_format(source, directory, wanted)
    if failed := _read_json(folder, DISCRIMINATION)["discrimination"]["failed_gate"]:
        words = f"the priors of {', '.join(failed)} do not prefer their own source"
        if not force:
            raise UserError(f"{words}; train them longer, or pass --force")
        _say_once(f"{words}; used all the same, as --force asks")
    return found


@functools.cache
def _say_once(words: str) -> None:
    log.info(words)


def prior_marks(priors: Mapping[str, str]) -> dict[str, str]:
    """Returns source -> SHA-256 of its prior's weights; equal marks are equal priors."""
    return {
        s: hashlib.sha256(storage.read_bytes(storage.join(d, "model.safetensors"))).hexdigest()
        for s, d in priors.items()
    }


def prior_runs(priors: Mapping[str, str]) -> dict[str, str]:
    """Returns tags that name the MLflow run that trained each prior."""
    provenance = {s: _read_json(d, "provenance.json") for s, d in priors.items()}
    return {f"prior_run.{s}": p["run_id"] for s, p in provenance.items() if p.get("run_id")}


def find_separator(
    model: str, root: str, tracking_uri: str, *, toys: bool = False, box: Path = pretrained.FOLDER
) -> tuple[str, str, Separator]:
    """Returns the exact URI of a separator, its checkpoint directory on this node, and the module, and logs
    which it is and why.

    Args:
        model: a checkpoint directory, an MLflow URI or ``bundled``; "" leaves the choice to the storage.
        root: the storage.
        tracking_uri: where MLflow is.
        toys: whether toy waves are to be separated: then the choice is among models that learned from them.
        box: the folder of the bundled model.

    Raises:
        UserError: there is no such model, or it is a prior.
    """
    found, why = (model, "as named") if model else _chosen(root, toys, box)
    if found == BUNDLED:
        uri, directory = BUNDLED, pretrained.directory(box)
    else:
        uri = exact_model(found, tracking_uri)
        cache = Path("~/.vsep_ray").expanduser() if storage.is_remote(root) else Path(root)
        directory = resolve_model(uri, tracking_uri, cache / CACHE).absolute()
    separator = checkpoint.load_separator(directory)
    kind = "toy waves, " if learned_from_toys(str(directory)) else ""
    log.info("model %s (%s%s); %s", uri, kind, in_words(separator), why)
    return uri, str(directory), separator


def in_words(what: CropStore | Separator) -> str:
    """Returns the format and the sources of crops or of a model, in words."""
    channels = {1: "mono", 2: "stereo"}.get(what.channels, f"{what.channels} channels")
    return f"{what.sample_rate:,} Hz {channels}: {', '.join(what.sources)}"


def _chosen(root: str, toys: bool, box: Path) -> tuple[str, str]:
    """Returns the separator that a job takes where none is named, and why, in words."""
    wanted, other = ("toy waves", "music") if toys else ("music", "toy waves")
    only = ""
    for directory in checkpoint.newest_first(root, "separator"):
        if learned_from_toys(directory) == toys:
            return directory, f"the newest of {wanted} in {root}; --model names another"
        only = f", only some of {other}"
    if toys or not checkpoint.is_complete(box):
        more = "" if toys else ", and no weights are bundled with this copy of vsep_ray"
        raise UserError(
            f"no separator of {wanted} in {root}{only}{more}; "
            "train one with jobs/train_separator.py, or pass --model"
        )
    return BUNDLED, f"it comes with vsep_ray, and {root} has none of music yet; --model names another"


def learned_from_toys(directory: str) -> bool:
    """Returns whether a separator learned from toy waves: it says so since 28 November 2026, and an older one
    has their names.
    """
    dataset = _read_json(directory, "provenance.json").get("dataset", "")
    sources = _read_json(directory, "config.json")["config"]["sources"]
    return are_toys(dataset) if dataset else bool(set(sources) & set(SHAPES))


def are_toys(dataset: str) -> bool:
    """Returns whether the data set of a crop store is of toy waves, or joined with such.

    Example:
        >>> are_toys("toy"), are_toys("band+sources-2+toy"), are_toys("band")
        (True, True, False)
    """
    return "toy" in re.split("[+-]", dataset)


def shared(uri: str, directory: str, root: str) -> str:
    """Returns where every node finds a checkpoint: the URI in a bucket, else a folder below the storage.

    A checkpoint from elsewhere is copied there.
    """
    if storage.is_remote(uri):
        return uri
    if not storage.is_remote(root) and Path(directory).is_relative_to(storage.local_path(root)):
        return directory
    target = storage.join(root, CACHE, checkpoint.identity(directory)[:16])
    if not checkpoint.is_complete(target):
        checkpoint.publish(directory, target)
    return target


def _trained_priors(run_id: str, root: str) -> str:
    """Returns the folder of a run of train_priors.py below a storage, of the latest where none is named."""
    models = storage.join(root, "models")
    for name in storage.newest_first(models, DISCRIMINATION):
        folder = storage.parent(storage.join(models, name))
        if not run_id or _read_json(folder, DISCRIMINATION).get("run_id") == run_id:
            return folder
    if not run_id:
        raise UserError(f"no priors in {root}; train them with jobs/train_priors.py --storage {root}")
    raise UserError(f"--priors {run_id} is neither a folder nor the run id of priors in {root}/models")


def _check_format(source: str, directory: str, wanted: CropStore | Separator) -> None:
    description = _read_json(directory, "config.json")
    format_ = (description.get("sample_rate"), description.get("channels"))
    if format_ != (wanted.sample_rate, wanted.channels):
        raise UserError(
            f"prior {directory} is for (Hz, channels) {format_}, "
            f"expected {(wanted.sample_rate, wanted.channels)}"
        )


def _read_json(folder: str, name: str) -> dict[str, Any]:
    return json.loads(storage.read_bytes(storage.join(folder, name)))
