"""Dreams: a crop store whose clips are samples of the priors, made once in parallel, so that Sleep in
regime A reads what it reads in regime B."""

import dataclasses
import functools

import numpy as np
import ray
import torch
from torch import Tensor

from vsep_ray import checkpoint, storage
from vsep_ray.cluster.inputs import prior_marks
from vsep_ray.config import UserError, fingerprint, what_counts
from vsep_ray.crops.encoding import SILENCE_DB, level_db
from vsep_ray.crops.part_files import write_parts
from vsep_ray.crops.statistics import SourceCount, SplitStatistics, source_statistics
from vsep_ray.crops.store import CropStore, partition, write_index
from vsep_ray.datasets.track import CropConfig
from vsep_ray.dreaming import DreamConfig, agreement, check_level, evenly, strongest_semitone
from vsep_ray.priors import Prior
from vsep_ray.training import step_seed

BATCH_SAMPLES = 512 * 1_024
"""Waveform samples that are drawn together: a WaveNet takes hardly longer for many clips than for few."""
PART = "part-0.parquet"
FEWEST = 0.05
"""Share of the clips that must be left after rejection."""


def dreams(
    store: CropStore,
    priors: dict[str, str],
    judges: dict[str, str],
    config: DreamConfig,
    length: int,
    folder: str,
    seed: int = 0,
) -> CropStore:
    """Clips of ``length`` samples per source, drawn from the priors in parallel, as a crop store below
    ``folder``; each is a song of its own, and levels are the priors' own.

    A store that is there already, from the same priors, is used as it is.

    Args:
        store: whose format, sources and scales the dreams take over.
        priors: source -> checkpoint directory.
        judges: source -> checkpoint directory of the priors that must agree, where the config asks for it.
        config: how many, and which.
        length: samples.
        folder: where dream stores lie, one per fingerprint.
        seed: of the draws.

    Raises:
        UserError: so many clips are rejected that the rest says nothing of the source.
    """
    judged = prior_marks(judges) if config.agreement else {}
    what = {"length": length, "seed": seed, "config": what_counts(config), "judges": judged}
    mark = fingerprint({"priors": prior_marks(priors), **what})
    uri = storage.join(folder, f"dreams-{mark}")
    if storage.exists(storage.join(uri, "_store.json")):
        return CropStore.open(uri)
    tasks = [
        _dream.remote(uri, s, priors[s], judges, config, length, step_seed(seed, k))
        for k, s in enumerate(store.sources)
    ]
    counts = ray.get(tasks)
    count = config.num * len(store.sources)
    split = SplitStatistics(count, count, count * length / store.sample_rate)
    dreamed = dataclasses.replace(
        store, uri=uri, dataset="dreams", length=length, paired=False, splits={"train": split},
        statistics=source_statistics(counts), quarantined=0, fingerprint=mark, encoding="pcm",
        content=fingerprint([c.digest for c in counts]),
    )  # fmt: skip
    write_index(uri, [("train", c.source, PART, c.groups) for c in counts])
    dreamed.save()
    return dreamed


@ray.remote
def _dream(
    uri: str, source: str, prior: str, judges: dict[str, str], config: DreamConfig, length: int, seed: int
) -> SourceCount:
    torch.manual_seed(seed)
    module = checkpoint.load_prior(prior)
    if config.sigma:
        check_level("--dreams.sigma", config.sigma, source, module)
    clips = _draw(module, config, length)
    if config.agreement:
        priors = {s: checkpoint.load_prior(d) for s, d in judges.items()}
        clips = clips[agreement(clips, source, priors, config.agreement)]
        print(f"dreams of {source}: {len(clips)} of {config.num} agreed upon", flush=True)
    if len(clips) < FEWEST * config.num:
        raise UserError(
            f"only {len(clips)} of {config.num} dreams of {source} are taken for it by the priors; "
            "train them longer, or set --dreams.agreement 0"
        )
    if config.even_pitch:
        audible = torch.from_numpy(level_db(clips.numpy()) > SILENCE_DB)
        clips = clips[evenly(strongest_semitone(clips, module.sample_rate), audible, config.num)]
    else:
        clips = clips[torch.arange(config.num) % len(clips)]
    return _write(uri, source, clips.numpy(), module.sample_rate)


def _draw(module: Prior, config: DreamConfig, length: int) -> Tensor:
    whole = -(-length // module.multiple) * module.multiple
    batch = max(1, BATCH_SAMPLES // whole)
    parts = np.array_split(np.arange(config.num), len(config.temperatures))
    batches = [
        module.sample(min(batch, len(part) - i), whole, temperature, config.sigma)
        for part, temperature in zip(parts, config.temperatures, strict=True)
        for i in range(0, len(part), batch)
    ]
    return torch.nan_to_num(torch.cat(batches)[..., :length], nan=0.0, posinf=1.0, neginf=-1.0).clamp(-4, 4)


def _write(uri: str, source: str, clips: np.ndarray, sample_rate: int) -> SourceCount:
    num, _, length = clips.shape
    names = [f"dream-{source}-{i}" for i in range(num)]
    rows = ((name, 0, {source: clip}) for name, clip in zip(names, clips, strict=True))
    folder = functools.partial(partition, uri, "train")
    (count,) = write_parts(folder, PART, CropConfig(sample_rate, clips.shape[1], length), rows)
    return count
