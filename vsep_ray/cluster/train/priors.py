"""train_priors trains one prior per source side by side, and asks which priors tell their sources apart."""

import functools
import json
import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor, from_numpy
from typing_extensions import override

from vsep_ray import checkpoint, storage
from vsep_ray.batches.augment import AugmentConfig
from vsep_ray.batches.remixing import draw_clips
from vsep_ray.batches.windows import Window
from vsep_ray.cluster.inputs import DISCRIMINATION, crop_store, log_crops
from vsep_ray.cluster.runtime import capacity
from vsep_ray.cluster.runtime.progress import gathered
from vsep_ray.cluster.runtime.tracked_run import start_run
from vsep_ray.cluster.train.board import watched
from vsep_ray.cluster.train.held_out import validation_crops
from vsep_ray.cluster.train.launch import default_workers, forget, run_name, train_apart
from vsep_ray.cluster.train.task import Launch, StreamSpec, Task
from vsep_ray.cluster.train.verdict import closing, figures_of
from vsep_ray.config import UserError
from vsep_ray.crops.store import CropStore
from vsep_ray.datasets.toy import SHAPES
from vsep_ray.evaluation.likelihood import (
    NATS_PER_BIT,
    Column,
    Discrimination,
    column,
    cross_likelihood,
    discrimination,
)
from vsep_ray.evaluation.toy_fit import wave_fit_db
from vsep_ray.nn.precision import computing
from vsep_ray.objectives import MaximumLikelihood, Objective
from vsep_ray.presets import TrainPriorsConfig
from vsep_ray.presets.job import torch_device
from vsep_ray.priors import Prior, PriorConfig
from vsep_ray.priors.prior import Kind
from vsep_ray.report.figures import cross_likelihood_figure, noise_response_figure, samples_figure
from vsep_ray.tracking import Tracker

__all__ = ["PriorTask", "closing", "held_out", "plan", "run"]
log = logging.getLogger(__name__)
VALID_CLIPS = 64
"""The cross-likelihood matrix has this number of held-out clips per source."""
OWN_CLIPS = 16
"""Every validation looks at this number of held-out clips."""
SAMPLES = 16
"""Every validation draws this number of samples."""
SHOWN = 4
"""This number of samples is kept to see and hear."""
LONGEST_SECONDS = 2
"""A sample is this long at most."""


@dataclass(frozen=True)
class PriorTask(Task[Prior]):
    """Trains one prior by maximum likelihood on the clips of its source."""

    store: CropStore
    source: str
    prior: PriorConfig
    augment: AugmentConfig
    noise_stds: tuple[float, ...]

    @override
    def streams(self) -> dict[str, StreamSpec]:
        return {"clips": StreamSpec(self.store, "train", self.source)}

    @override
    def build(self) -> tuple[Objective, Prior]:
        prior = self.prior.build(self.store.sample_rate, self.store.channels)
        return MaximumLikelihood(prior), prior

    @override
    def batch(self, windows: Mapping[str, Window], rng: np.random.Generator, num: int) -> dict[str, Tensor]:
        return {"clips": draw_clips(windows["clips"], rng, num, self.augment, self.store.sample_rate)}

    @override
    def validate(self, module: Prior, tracker: Tracker, step: int) -> dict[str, float]:
        clips = held_out(self.store, self.source, self.length, module)[:OWN_CLIPS]
        device = next(module.parameters()).device
        result = cross_likelihood({self.source: module}, {self.source: clips}, self.noise_stds, device=device)
        samples, figures = sampled(module, self.store, self.source, clips.shape[-1])
        few = samples[:SHOWN].numpy()
        rate = self.store.sample_rate
        tracker.audio(np.concatenate(few, -1), rate, f"samples/step_{step}.wav")
        tracker.figure(samples_figure(few[:, 0], rate), f"samples/step_{step}.png")
        return own_words(result) | figures


def own_words(result: Discrimination) -> dict[str, float]:
    """Returns what one prior says per sample of its own clips and of the probes, per noise level.

    Of its clips it is nats, bits, and nats above the noise's entropy; of the probes it is nats.
    """
    out: dict[str, float] = {}
    (source,) = result.sources
    for i, sigma in enumerate(result.noise_stds):
        own, *probes = (-result.matrix[i, :, 0]).tolist()
        out[f"nats_per_sample/sigma_{sigma:g}"] = own
        out[f"bits_per_sample/sigma_{sigma:g}"] = own / NATS_PER_BIT
        out[f"above_noise/sigma_{sigma:g}"] = result.above_noise()[source][i]
        names = [f"probe_{name}/sigma_{sigma:g}" for name in result.clips[1:]]
        out |= zip(names, probes, strict=True)
    return out


def sampled(prior: Prior, store: CropStore, source: str, length: int) -> tuple[Tensor, dict[str, float]]:
    """Returns a few samples, on the CPU, their time and level, and for toy waves the median fit (dB).

    Shape: -> (`SAMPLES`, C, T), T at most ``length``, and a few seconds of sound.
    """
    length = min(length, LONGEST_SECONDS * store.sample_rate) // prior.multiple * prior.multiple
    began = time.perf_counter()
    samples = prior.sample(SAMPLES, length).cpu()
    seconds = time.perf_counter() - began
    figures = {"sample_seconds": seconds / SAMPLES, "sample_level": samples.square().mean().sqrt().item()}
    if source in SHAPES:
        fits = wave_fit_db(samples[:, 0], source, store.sample_rate)  # type: ignore[arg-type]
        figures["sample_fit_db"] = fits.median().item()
    return samples, figures


def run(config: TrainPriorsConfig, models: str = "models") -> dict[str, Any]:
    """Trains, compares and publishes the priors below ``<storage>/<models>``.

    Returns:
        The figures of the JSON line.

    Raises:
        UserError: the store has no such source.
    """
    store = crop_store(config, config.length)
    sources = config.sources or store.sources
    if missing := set(sources) - set(store.sources):
        raise UserError(
            f"no source {', '.join(sorted(missing))} in {store.uri}; it has {', '.join(store.sources)}"
        )
    name = run_name("train_priors", config, store.mark)
    if config.fresh:
        forget(config.storage, name)
    given = replace(config, crops=(store.uri,), sources=sources, length=config.length or store.length)
    title, tags = f"priors, {config.preset}", {"crops": store.mark}
    with start_run(config, "priors", title, name=name, tags=tags, params=given) as tracker:
        target = storage.join(config.storage, models, name)
        workers = default_workers(config.resources, config.fit, side_by_side=True)
        train_one = functools.partial(_train_one, config, store, name, target, tracker.run_id, workers)
        with (
            watched(name, _named(sources), len(sources) * config.fit.steps),
            ThreadPoolExecutor(capacity.side_by_side(config.resources, len(sources))) as pool,
        ):
            last = dict(zip(sources, pool.map(train_one, sources), strict=True))
        directories = {s: storage.join(target, s) for s in sources}
        figures = {"run_id": tracker.run_id, **_compared(config, store, directories, last, tracker)}
        made = json.dumps(figures | storage.finished_now(), indent=1)
        storage.write_bytes(storage.join(target, DISCRIMINATION), made.encode())
    return {"priors": target, "crops": store.uri, **figures}


def _compared(
    config: TrainPriorsConfig,
    store: CropStore,
    directories: Mapping[str, str],
    last: Mapping[str, Mapping[str, float]],
    tracker: Tracker,
) -> dict[str, Any]:
    """Returns what the priors say of each other's clips, and logs it with its figures."""
    task = capacity.on_device(_say, config.resources.device)
    asked = [task.remote(config, store, directories, source) for source in directories]
    said = gathered(asked, "whose clips are whose", "priors")
    columns, kinds = (dict(zip(directories, each, strict=True)) for each in zip(*said, strict=True))
    result = discrimination(columns, config.noise_stds)
    figures = {"kind": kinds, **figures_of(config, result, last)}
    tracker.metrics(result.metrics())
    tracker.figure(cross_likelihood_figure(result, config.gate), "cross_likelihood.png")
    tracker.figure(noise_response_figure(result), "noise_response.png")
    tracker.text(json.dumps(figures, indent=1), DISCRIMINATION)
    return figures


def _named(sources: Sequence[str]) -> str:
    return f"{len(sources)} priors" if len(sources) > 1 else f"prior of {sources[0]}"


def plan(config: TrainPriorsConfig) -> dict[str, Any]:
    """Returns what `run` would do."""
    return {"sources": list(config.sources) or "all of the crop store", "steps": config.fit.steps}


def held_out(store: CropStore, source: str, length: int, prior: Prior) -> Tensor:
    """Returns validation clips of a source, cut to what the prior takes.

    Shape: -> (N, C, T)
    """
    audio = from_numpy(validation_crops(store, source, VALID_CLIPS).audio)[..., : length or None]
    return audio[..., : audio.shape[-1] // prior.multiple * prior.multiple]


def _say(
    config: TrainPriorsConfig, store: CropStore, directories: Mapping[str, str], source: str
) -> tuple[Column, Kind]:
    """Returns what one prior says of all held-out clips, and the kind of its density.

    Args:
        config: the job's config.
        store: the clips are those of its split valid.
        directories: source -> checkpoint directory of its prior.
        source: whose prior.
    """
    device = torch_device(config.resources.device)
    priors = {s: checkpoint.load_prior(d) for s, d in directories.items()}
    clips = {s: held_out(store, s, config.length, p) for s, p in priors.items()}
    prior = priors[source].to(device)
    with computing(config.fit.precision, device):
        return column(source, priors, clips, config.noise_stds, device=device), prior.kind


def _train_one(
    config: TrainPriorsConfig,
    store: CropStore,
    group: str,
    target: str,
    parent: str,
    workers: int,
    source: str,
) -> dict[str, float]:
    """Trains, publishes and registers the prior of one source, and returns its last validation."""
    name = f"{group}-{source}"
    target = storage.join(target, source)
    params = {"prior": config.prior, "fit": config.fit}
    tags = {"source": source, "crops": store.mark}
    title = f"prior of {source}, {config.preset}"
    with start_run(config, "priors", title, name=name, parent=parent, tags=tags, params=params) as tracker:
        log_crops(tracker, store)
        task = PriorTask(
            config.fit, config.length, store, source, config.prior, config.augment, config.noise_stds
        )
        launch = Launch.of(config, name, tracker.run_id, workers, group, **tags)
        metrics = train_apart(task, launch, target)
        tracker.register(checkpoint.local(target), f"vsep-prior-{source}", "champion")
        return metrics
