"""train_priors: one prior per source side by side, then the question which of them tell their sources
apart."""

import functools
import json
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import ray
import torch
from torch import Tensor
from typing_extensions import override

from vsep_ray import checkpoint, storage
from vsep_ray.cluster.inputs import crop_store
from vsep_ray.cluster.runtime import capacity
from vsep_ray.cluster.runtime.tracked_run import start_run
from vsep_ray.cluster.train.launch import default_workers, forget, run_name, train_apart
from vsep_ray.cluster.train.prior_samples import own_words, sampled, show_samples
from vsep_ray.cluster.train.task import Launch, StreamSpec, Task
from vsep_ray.config import UserError
from vsep_ray.crops.batches import AugmentConfig, Window, draw_clips
from vsep_ray.crops.reading import read_crops
from vsep_ray.crops.store import CropStore
from vsep_ray.evaluation.likelihood import Discrimination, cross_likelihood, gate
from vsep_ray.objectives import MaximumLikelihood, Objective
from vsep_ray.presets import TrainPriorsConfig
from vsep_ray.presets.job import torch_device
from vsep_ray.priors import Prior, PriorConfig
from vsep_ray.report.figures import cross_likelihood_figure, noise_response_figure
from vsep_ray.tracking import Tracker

log = logging.getLogger(__name__)
VALID_CLIPS = 64
"""Held-out clips per source in the cross-likelihood matrix."""
OWN_CLIPS = 16
"""Of them, those that every validation looks at."""


@dataclass(frozen=True)
class PriorTask(Task[Prior]):
    """One prior by maximum likelihood on the clips of its source."""

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
        return {"clips": draw_clips(windows["clips"], rng, num, self.augment)}

    @override
    def validate(self, module: Prior, tracker: Tracker, step: int) -> dict[str, float]:
        """What the prior says of its own clips and of the probes; samples to see and to hear."""
        clips = held_out(self.store, self.source, self.length, module)[:OWN_CLIPS]
        device = next(module.parameters()).device
        own, rows = {self.source: module}, {self.source: clips}
        result = cross_likelihood(own, rows, self.noise_stds, device=device)
        samples, figures = sampled(module, self.store, self.source, clips.shape[-1])
        show_samples(tracker, samples, self.store.sample_rate, f"step_{step}")
        return own_words(result) | figures


def run(config: TrainPriorsConfig, models: str = "models") -> dict[str, Any]:
    """Train, compare and publish the priors below ``<storage>/<models>``; the figures of the JSON line."""
    store = crop_store(config)
    sources = config.sources or store.sources
    if missing := set(sources) - set(store.sources):
        raise UserError(
            f"no source {', '.join(sorted(missing))} in {store.uri}; it has {', '.join(store.sources)}"
        )
    name = run_name("train_priors", config, store.mark)
    if config.fresh:
        forget(config.storage, name)
    with start_run(config, "priors", name, tags={"crops": store.mark}) as tracker:
        target = storage.join(config.storage, models, name)
        last = _train_all(config, store, sources, name, target, tracker)
        log.info("%d priors say how likely each other's clips are", len(sources))
        task: Any = ray.remote(num_cpus=1, num_gpus=min(1, capacity.gpus(config.resources.device)))(compare)
        result, kinds = ray.get(task.remote(config, store, {s: storage.join(target, s) for s in sources}))
        figures = {"run_id": tracker.run_id, "kind": kinds, **_figures(config, result, last)}
        _record(tracker, result, figures, target)
    return {"priors": target, **figures}


def plan(config: TrainPriorsConfig) -> dict[str, Any]:
    """What `run` would do."""
    return {"sources": list(config.sources) or "all of the crop store", "steps": config.fit.steps}


def held_out(store: CropStore, source: str, length: int, prior: Prior) -> Tensor:
    """Validation clips of a source (training clips where its split valid is empty), cut to what the prior
    takes. Shape: (N, C, T)."""
    split = "valid" if storage.exists(store.partition("valid", source)) else "train"
    audio = torch.from_numpy(read_crops(store, split, source, VALID_CLIPS).audio)[..., : length or None]
    return audio[..., : audio.shape[-1] // prior.multiple * prior.multiple]


def compare(
    config: TrainPriorsConfig, store: CropStore, directories: Mapping[str, str]
) -> tuple[Discrimination, dict[str, str]]:
    """The cross-likelihood matrix of all priors on held-out clips, and the kind of each density.

    Args:
        config: of the job.
        store: whose split valid is looked at.
        directories: source -> checkpoint directory of its prior.
    """
    device = torch_device(config.resources.device)
    priors = {s: checkpoint.load_prior(d).to(device) for s, d in directories.items()}
    clips = {s: held_out(store, s, config.length, p) for s, p in priors.items()}
    matrix = cross_likelihood(priors, clips, config.noise_stds, device=device)
    return matrix, {s: p.kind for s, p in priors.items()}


def _train_all(
    config: TrainPriorsConfig,
    store: CropStore,
    sources: tuple[str, ...],
    name: str,
    target: str,
    parent: Tracker,
) -> dict[str, dict[str, float]]:
    """Side by side, as many at a time as the cluster has room for. Returns: source -> last validation."""
    workers = default_workers(config.resources, config.fit, side_by_side=True)
    with ThreadPoolExecutor(capacity.side_by_side(config.resources, len(sources))) as pool:
        train_one = functools.partial(_train_one, config, store, name, target, parent.run_id, workers)
        return dict(zip(sources, pool.map(train_one, sources), strict=True))


def _train_one(
    config: TrainPriorsConfig,
    store: CropStore,
    name: str,
    target: str,
    parent: str,
    workers: int,
    source: str,
) -> dict[str, float]:
    params = {"prior": config.prior, "fit": config.fit}
    tags = {"source": source, "crops": store.mark}
    with start_run(config, "priors", f"{name}-{source}", parent=parent, tags=tags, params=params) as tracker:
        tracker.dataset(store.dataset, store.mark, store.uri)
        task = PriorTask(
            config.fit, config.length, store, source, config.prior, config.augment, config.noise_stds
        )
        target = storage.join(target, source)
        launch = Launch.of(config, f"{name}-{source}", tracker.run_id, workers, **tags)
        metrics = train_apart(task, launch, target)
        tracker.register(checkpoint.local(target), f"vsep-prior-{source}", "champion")
        return metrics


def _figures(
    config: TrainPriorsConfig, result: Discrimination, last: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    level = result.best_level()
    bits = result.bits_per_sample()[level]

    def by_level(rows: Mapping[str, tuple[float, ...]]) -> dict[str, dict[str, float]]:
        return {
            s: {f"{sigma:g}": round(v, 4) for sigma, v in zip(result.noise_stds, row, strict=True)}
            for s, row in rows.items()
        }

    return {
        "bits_per_sample": {s: round(bits[i, i].item(), 4) for i, s in enumerate(result.sources)},
        "noise_std": result.noise_stds[level],
        "steps": {s: int(v["step"]) for s, v in last.items()},
        "train_seconds": {s: round(v["train_seconds"], 1) for s, v in last.items()},
        "samples": {s: {k: v[k] for k in v if k.startswith("sample_")} for s, v in last.items()},
        "nats_above_noise": by_level(result.above_noise()),
        "discrimination": {
            "accuracy": by_level(result.accuracy),
            "auc": {s: round(row[level], 4) for s, row in result.auc.items()},
            "failed_gate": gate(result, config.gate) if len(result.sources) > 1 else [],
            "impossible": result.impossible(),
        },
    }


def _record(tracker: Tracker, result: Discrimination, figures: dict[str, Any], target: str) -> None:
    tracker.metrics(result.metrics())
    tracker.figure(cross_likelihood_figure(result), "cross_likelihood.png")
    tracker.figure(noise_response_figure(result), "noise_response.png")
    summary = json.dumps(figures, indent=1).encode()
    tracker.text(summary.decode(), "discrimination.json")
    storage.write_bytes(storage.join(target, "discrimination.json"), summary)
