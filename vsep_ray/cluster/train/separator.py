"""train_separator trains q(s | m) under regime A, B or C."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from vsep_ray import checkpoint, storage
from vsep_ray.batches.augment import AugmentConfig
from vsep_ray.batches.remixing import draw_clips, draw_remix
from vsep_ray.batches.windows import Window
from vsep_ray.cluster.inputs import (
    crop_store,
    find_separator,
    log_crops,
    prior_directories,
    prior_marks,
    prior_runs,
    shared,
)
from vsep_ray.cluster.runtime import talk
from vsep_ray.cluster.runtime.tracked_run import start_run
from vsep_ray.cluster.train.board import watched
from vsep_ray.cluster.train.dreams import dreams
from vsep_ray.cluster.train.held_out import mixture_scores, remix_scores
from vsep_ray.cluster.train.launch import default_workers, forget, run_name, train_apart, with_format
from vsep_ray.cluster.train.task import Launch, StreamSpec, Task
from vsep_ray.config import UserError, settled, short_name
from vsep_ray.crops.reading import PAIRED
from vsep_ray.crops.store import CropStore
from vsep_ray.datasets.track import MIXTURE
from vsep_ray.objectives import Objective, Supervised
from vsep_ray.presets import TrainSeparatorConfig
from vsep_ray.separators import Separator
from vsep_ray.tracking import Tracker

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SeparatorTask(Task[Separator]):
    """Trains a separator under one regime.

    Sleep remixes ``clips``, which are real in regime B, and dreams in regime A.
    """

    store: CropStore
    clips: CropStore
    priors: dict[str, str]
    config: TrainSeparatorConfig
    start: str = ""

    @property
    def objective(self) -> str:
        """The name of the objective, for the provenance."""
        other = self.config.self_training
        and_other = f" and {short_name(type(other))}" if other.reads_mixtures else ""
        return "Supervised" if self.config.regime == "C" else f"Sleep{and_other}"

    @property
    def marks(self) -> list[Any]:
        """Fingerprints of all that goes in beside the config; they name the run."""
        start = prior_marks({"start": self.start}) if self.start else {}
        return [self.store.mark, self.clips.mark, prior_marks(self.priors) | start]

    @property
    @override
    def criterion(self) -> str:
        """Regime A publishes the last checkpoint: a score asks sources, which it must not see."""
        return "" if self.config.regime == "A" else "si_sdr_improvement_mean_db"

    @override
    def streams(self) -> dict[str, StreamSpec]:
        """Regime A reads dreams and mixtures, B clips and mixtures, C aligned sources."""
        if self.config.regime == "C":
            return {PAIRED: StreamSpec(self.store, "train", PAIRED)}
        clips = {s: StreamSpec(self.clips, "train", s) for s in self.store.sources}
        mixture = {MIXTURE: StreamSpec(self.store, "train", MIXTURE)}
        return clips | (mixture if self.config.self_training.reads_mixtures else {})

    @override
    def build(self) -> tuple[Objective, Separator]:
        separator = Separator(with_format(self.config.separator, self.store))
        if self.start:
            separator.load_state_dict(checkpoint.load_separator(self.start).state_dict())
        other, point = self.config.self_training, self.config.point
        if self.config.regime == "C":
            return Supervised(separator, point), separator
        joint = checkpoint.load_joint(self.priors, separator) if other.asks_priors else None
        return other.build(separator, joint, point), separator

    @override
    def batch(self, windows: Mapping[str, Window], rng: np.random.Generator, num: int) -> dict[str, Tensor]:
        if self.config.regime == "C":
            aligned = torch.from_numpy(windows[PAIRED].draw(rng, num)[1])
            return {"sources": aligned.unflatten(1, (len(self.store.sources), self.store.channels))}
        augment, rate = self.config.augment, self.store.sample_rate
        remix = draw_remix([windows[s] for s in self.store.sources], rng, num, augment, rate)
        mixtures = {MIXTURE: windows[MIXTURE]} if MIXTURE in windows else {}
        plain = {k: draw_clips(w, rng, num, AugmentConfig(), rate) for k, w in mixtures.items()}
        return {"remix": remix, **plain}

    @override
    def validate(self, module: Separator, tracker: Tracker, step: int) -> dict[str, float]:
        """SI-SDR on remixes of held-out clips of different songs is a yardstick for all regimes.

        No training step sees the clips where there is a split valid. Regime A has also what needs no
        sources, by which its settings may be chosen.
        """
        scores = remix_scores(module, self.store, self.length, self.config.augment.level_lufs)
        if self.config.regime == "A" and MIXTURE in self.store.statistics:
            scores |= mixture_scores(
                module, self.store, self.length, checkpoint.load_joint(self.priors, module)
            )
        return scores


def run(config: TrainSeparatorConfig) -> dict[str, Any]:
    """Trains, publishes and registers a separator, and returns the figures of the JSON line."""
    store = crop_store(config, config.length)
    workers = default_workers(config.resources, config.fit, side_by_side=False)
    task = task_of(config, store)
    name = run_name(f"train_separator-{config.regime}", task.config, *task.marks)
    if config.fresh:
        forget(config.storage, name)
    target = storage.join(config.storage, "models", name)
    tags = {"regime": config.regime, "crops": store.mark}
    title = f"separator {config.regime}, {config.preset}"
    tags |= prior_runs(task.priors)
    params = resolved(task.config, store, task.priors)
    with start_run(config, "separator", title, name=name, tags=tags, params=params) as tracker:
        log_crops(tracker, store)
        launch = Launch.of(
            config, name, tracker.run_id, workers, regime=config.regime, crops=store.mark,
            objective=task.objective, priors=task.priors, start=task.start, clips=task.clips.uri,
            dream_priors=config.dreams.priors, dataset=store.dataset,
        )  # fmt: skip
        with watched(name, f"separator {config.regime}", config.fit.steps):
            metrics = train_apart(task, launch, target)
        alias = "yardstick" if config.regime == "C" else "champion"
        model_uri = tracker.register(checkpoint.local(target), "vsep-separator", alias)
    return {
        "run_id": tracker.run_id,
        "regime": config.regime,
        "model": target,
        "model_uri": model_uri,
        "crops": store.uri,
        "steps": int(metrics["trained_steps"]),
        "best_step": int(metrics["step"]),
        **{k: round(v, 3) for k, v in metrics.items() if k.startswith("si_sdr")},
    }


def plan(config: TrainSeparatorConfig) -> dict[str, Any]:
    """Returns what `run` would do."""
    return {"regime": config.regime, "steps": config.fit.steps, "batch_size": config.fit.batch_size}


def resolved(
    config: TrainSeparatorConfig, store: CropStore, priors: Mapping[str, str]
) -> TrainSeparatorConfig:
    """Returns the config with what the crops and the storage decide where it leaves them open."""
    return replace(
        config,
        separator=with_format(config.separator, store),
        length=config.length or store.length,
        crops=(store.uri,),
        priors=storage.parent(next(iter(priors.values()))) if priors else config.priors,
    )


def closing(config: TrainSeparatorConfig, figures: Mapping[str, Any]) -> list[talk.Line]:
    """Returns what is said of the separator at the end of the job."""
    mean, median = (figures[f"si_sdr_improvement_{m}db"] for m in ("mean_", ""))
    where = f"{figures['model']} ({figures['model_uri'] or 'registered when the tracking server answers'})"
    return [
        ("", f"SI-SDR improvement on remixes of held-out clips: mean {mean:.1f} dB, median {median:.1f} dB"),
        ("", f"regime {config.regime}, the weights of step {figures['best_step']:,} of {figures['steps']:,}"),
        ("model", where),
        ("next", talk.command("separate_catalog", config, "songs/", "--model", figures["model"])),
    ]


def models_of(config: TrainSeparatorConfig, store: CropStore) -> dict[str, str]:
    """Returns marks of the models that a config names itself: where it starts, and whose dreams it has."""
    found = _find_priors(config, store, config.dreams.priors) if config.dreams.priors else {}
    return prior_marks(found | ({"start": _find_start(config, store)[1]} if config.start else {}))


def task_of(config: TrainSeparatorConfig, store: CropStore) -> SeparatorTask:
    """Returns what a config trains on a store; regime A's dreams are drawn first.

    Raises:
        UserError: the store or the priors are not what the regime needs.
    """
    if config.regime == "C" and not store.paired:
        raise UserError(f"regime C needs sources of common mixtures; {store.uri} holds a folder per source")
    config = settled(config)
    if config.self_training.reads_mixtures and MIXTURE not in store.statistics:
        raise UserError(f"self-training needs mixtures, and {store.uri} has none; say --self-training none")
    priors = _find_priors(config, store, config.priors) if config.asks_priors else {}
    clips = store
    if config.regime == "A":
        dreamers = _find_priors(config, store, config.dreams.priors or config.priors)
        log.debug("dreams of %s (--dreams.priors), objective under %s (--priors)", dreamers, priors)
        clips = dreams(
            store, dreamers, priors, config.dreams, config.length or store.length,
            storage.join(config.storage, "dreams"), config.fit.seed, config.resources.device,
            config.fit.precision,
        )  # fmt: skip
    start = shared(*_find_start(config, store), config.storage) if config.start else ""
    return SeparatorTask(config.fit, config.length, store, clips, priors, config, start)


def _find_start(config: TrainSeparatorConfig, store: CropStore) -> tuple[str, str]:
    """Returns the URI and the checkpoint directory of the separator to start from.

    Raises:
        UserError: there is none, or its sources, format or shape are not those of the run.
    """
    uri, directory, module = find_separator(config.start, config.storage, config.tracking_uri)
    theirs, ours = module.config, with_format(config.separator, store)
    for name in ("sources", "sample_rate", "channels", "backbone"):
        if (there := getattr(theirs, name)) != (here := getattr(ours, name)):
            raise UserError(
                f"--start {uri} has {name} {there}, this run has {here}; start from another model, or say "
                f"--separator.{name.replace('_', '-')} as it has them"
            )
    return uri, directory


def _find_priors(config: TrainSeparatorConfig, store: CropStore, priors: str) -> dict[str, str]:
    return prior_directories(priors, config.storage, store, config.force)
