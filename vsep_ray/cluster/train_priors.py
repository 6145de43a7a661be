"""train_priors: one prior per source side by side, then the question which of them tell their sources
apart."""

import functools
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import ray
import torch
from torch import Tensor

from vsep_ray import checkpoint
from vsep_ray.cluster.inputs import crop_store
from vsep_ray.cluster.runs import git_revision, start_run
from vsep_ray.cluster.train import Launch, StreamSpec, Task, default_workers, forget, run_name, train
from vsep_ray.config import UserError
from vsep_ray.data import storage
from vsep_ray.data.batches import AugmentConfig, Window, draw_clips
from vsep_ray.data.crops import CropStore, read_crops
from vsep_ray.evaluation.likelihood import Discrimination, cross_likelihood, gate
from vsep_ray.figures import cross_likelihood_figure
from vsep_ray.objectives import MaximumLikelihood, Objective
from vsep_ray.presets import TrainPriorsConfig
from vsep_ray.priors import Prior, PriorConfig
from vsep_ray.separators import Separator
from vsep_ray.tracking import Tracker

VALID_CLIPS = 64


@dataclass(frozen=True)
class PriorTask(Task):
    """One prior by maximum likelihood on the clips of its source."""

    store: CropStore
    source: str
    prior: PriorConfig
    augment: AugmentConfig
    noise_stds: tuple[float, ...]

    def streams(self) -> dict[str, StreamSpec]:
        """See `Task.streams`."""
        return {"clips": StreamSpec(self.store, "train", self.source)}

    def build(self) -> tuple[Objective, Prior]:
        """See `Task.build`."""
        prior = self.prior.build(self.store.sample_rate, self.store.channels)
        return MaximumLikelihood(prior), prior

    def batch(self, windows: Mapping[str, Window], rng: np.random.Generator, num: int) -> dict[str, Tensor]:
        """See `Task.batch`."""
        return {"clips": draw_clips(windows["clips"], rng, num, self.augment)}

    def validate(self, module: Prior | Separator, tracker: Tracker, step: int) -> dict[str, float]:
        """Nats and bits per sample at each noise level, and four samples to listen to."""
        assert isinstance(module, Prior)
        clips = held_out(self.store, self.source, self.length, module)
        result = cross_likelihood(
            {self.source: module},
            {self.source: clips},
            self.noise_stds,
            device=next(module.parameters()).device,
        )
        nll = {
            f"nats_per_sample/sigma_{s:g}": -result.matrix[i, 0, 0].item()
            for i, s in enumerate(self.noise_stds)
        }
        samples = module.sample(4, clips.shape[-1]).cpu()
        tracker.audio(np.concatenate(samples.numpy(), -1), self.store.sample_rate, f"samples/step_{step}.wav")
        return nll


def run(config: TrainPriorsConfig, models: str = "models") -> dict[str, Any]:
    """Train, compare and publish the priors below ``<storage>/<models>``; the figures of the JSON line."""
    store = crop_store(config)
    sources = config.sources or store.sources
    if missing := set(sources) - set(store.sources):
        raise UserError(
            f"no source {', '.join(sorted(missing))} in {store.uri}; it has {', '.join(store.sources)}"
        )
    name = run_name("train_priors", config, store.fingerprint)
    if config.fresh:
        forget(config.storage, name)
    with start_run(config, "priors", name, tags={"crops": store.fingerprint}) as tracker:
        target = storage.join(config.storage, models, name)
        last = _train_all(config, store, sources, name, target, tracker)
        priors = {s: checkpoint.load(storage.local_path(storage.join(target, s))) for s in sources}
        result = compare(config, store, priors)
        figures = {"run_id": tracker.run_id, **_figures(config, result, last)}
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


def compare(config: TrainPriorsConfig, store: CropStore, priors: Mapping[str, Any]) -> Discrimination:
    """The cross-likelihood matrix of all priors on held-out clips."""
    clips = {s: held_out(store, s, config.length, p) for s, p in priors.items()}
    return cross_likelihood(priors, clips, config.noise_stds)


def _train_all(
    config: TrainPriorsConfig,
    store: CropStore,
    sources: tuple[str, ...],
    name: str,
    target: str,
    parent: Tracker,
) -> dict[str, dict[str, float]]:
    """Side by side, as many at a time as the cluster has room for. Returns: source -> last validation."""
    workers = default_workers(config.resources, side_by_side=True)
    total = ray.cluster_resources()
    limit = max(1, int((total.get("GPU", 0) or total.get("CPU", 1)) // workers))
    with ThreadPoolExecutor(limit) as pool:
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
    tags = {"source": source, "crops": store.fingerprint}
    with start_run(config, "priors", f"{name}-{source}", parent=parent, tags=tags, params=params) as tracker:
        tracker.dataset(store.dataset, store.fingerprint, store.uri)
        provenance = {
            "source": source,
            "run_id": tracker.run_id,
            "crops": store.fingerprint,
            "git": git_revision(),
        }
        task = PriorTask(
            config.fit, config.length, store, source, config.prior, config.augment, config.noise_stds
        )
        launch = Launch(
            f"{name}-{source}",
            config.storage,
            config.tracking_uri,
            tracker.run_id,
            config.resources,
            workers,
            provenance,
        )
        target = storage.join(target, source)
        # in a task of its own: several fit() calls in the threads of one driver would share its signal
        # handlers
        metrics = ray.get(ray.remote(num_cpus=0)(train).remote(task, launch, target))
        tracker.register(storage.local_path(target), f"vsep-prior-{source}", "champion")
        return metrics


def _figures(
    config: TrainPriorsConfig, result: Discrimination, last: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    level = result.best_level()
    bits = result.bits_per_sample()[level]
    return {
        "bits_per_sample": {s: round(bits[i, i].item(), 4) for i, s in enumerate(result.sources)},
        "noise_std": result.noise_stds[level],
        "steps": {s: int(v["step"]) for s, v in last.items()},
        "discrimination": {
            "accuracy": {
                s: {f"{sigma:g}": a for sigma, a in zip(result.noise_stds, row, strict=True)}
                for s, row in result.accuracy.items()
            },
            "auc": {s: round(row[level], 4) for s, row in result.auc.items()},
            "failed_gate": gate(result, config.gate) if len(result.sources) > 1 else [],
        },
    }


def _record(tracker: Tracker, result: Discrimination, figures: dict[str, Any], target: str) -> None:
    tracker.metrics(result.metrics())
    tracker.figure(cross_likelihood_figure(result), "cross_likelihood.png")
    summary = json.dumps(figures, indent=1).encode()
    tracker.text(summary.decode(), "discrimination.json")
    storage.write_bytes(storage.join(target, "discrimination.json"), summary)
