"""train_separator: q(s | m) under regime A, B or C."""

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vsep_ray import checkpoint, storage
from vsep_ray.cluster.inputs import (
    crop_store,
    find_separator,
    load_joint,
    prior_directories,
    prior_marks,
    prior_runs,
    shared,
)
from vsep_ray.cluster.runtime.tracked_run import start_run
from vsep_ray.cluster.train.dreams import dreams
from vsep_ray.cluster.train.held_out import mixture_scores, remix_scores
from vsep_ray.cluster.train.launch import default_workers, forget, run_name, train_apart, with_format
from vsep_ray.cluster.train.task import PAIRED, Launch, StreamSpec, Task
from vsep_ray.config import UserError
from vsep_ray.crops.batches import AugmentConfig, Window, draw_clips, draw_remix
from vsep_ray.crops.store import CropStore
from vsep_ray.datasets.track import MIXTURE
from vsep_ray.objectives import Anchored, Objective, Remix, Sleep, Supervised, Wake
from vsep_ray.presets import TrainSeparatorConfig
from vsep_ray.priors import Prior
from vsep_ray.separators import Separator
from vsep_ray.tracking import Tracker

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SeparatorTask(Task):
    """A separator under one regime. ``clips`` is what Sleep remixes: real clips in regime B, dreams in
    regime A."""

    store: CropStore
    clips: CropStore
    priors: dict[str, str]
    config: TrainSeparatorConfig
    start: str = ""

    @property
    def objective(self) -> str:
        """The name of the objective, for the provenance."""
        if self.config.regime == "C":
            return "Supervised"
        return f"Sleep and {self.config.self_training}" if self._reads_mixtures else "Sleep"

    @property
    def _reads_mixtures(self) -> bool:
        return _self_trains(self.config)

    @property
    def marks(self) -> list[Any]:
        """Fingerprints of all that goes in beside the config: the run is named by them."""
        start = prior_marks({"start": self.start}) if self.start else {}
        return [self.store.mark, self.clips.mark, prior_marks(self.priors) | start]

    def streams(self) -> dict[str, StreamSpec]:
        """Regime A reads dreams and mixtures, B clips and mixtures, C aligned sources; nobody reads what
        the regime forbids."""
        if self.config.regime == "C":
            return {PAIRED: StreamSpec(self.store, "train", PAIRED)}
        clips = {s: StreamSpec(self.clips, "train", s) for s in self.store.sources}
        return clips | ({MIXTURE: StreamSpec(self.store, "train", MIXTURE)} if self._reads_mixtures else {})

    def build(self) -> tuple[Objective, Separator]:
        """See `Task.build`."""
        separator = Separator(with_format(self.config.separator, self.store))
        if self.start:
            separator.load_state_dict(checkpoint.load(self.start).state_dict())
        if self.config.regime == "C":
            return Supervised(separator, self.config.mean_weight), separator
        sleep = Sleep(separator, self.config.mean_weight)
        if not self._reads_mixtures:
            return sleep, separator
        return Anchored(sleep, self._self_training(separator), self.config.sleep_fraction), separator

    def _self_training(self, separator: Separator) -> Wake | Remix:
        config = self.config
        joint = load_joint(self.priors, separator) if _asks_priors(config) else None
        if config.self_training == "remix":
            return Remix(separator, config.mean_weight, joint=joint, refinement=config.refinement)
        assert joint is not None
        return Wake(
            separator, joint, config.noise_std, config.beta, config.temperatures, config.samples,
            config.gradient,
        )  # fmt: skip

    def batch(self, windows: Mapping[str, Window], rng: np.random.Generator, num: int) -> dict[str, Tensor]:
        """See `Task.batch`."""
        if self.config.regime == "C":
            aligned = torch.from_numpy(windows[PAIRED].draw(rng, num)[1])
            return {"sources": aligned.unflatten(1, (len(self.store.sources), self.store.channels))}
        remix = draw_remix([windows[s] for s in self.store.sources], rng, num, self.config.augment)
        mixture = (
            {"mixture": draw_clips(windows[MIXTURE], rng, num, AugmentConfig())}
            if self._reads_mixtures
            else {}
        )
        return {"remix": remix} | mixture

    def validate(self, module: Prior | Separator, tracker: Tracker, step: int) -> dict[str, float]:
        """SI-SDR on remixes of held-out clips of different songs, a yardstick for all regimes that no
        training step sees (where there is a split valid); in regime A also what needs no sources, by which
        its settings may be chosen."""
        assert isinstance(module, Separator)
        scores = remix_scores(module, self.store, self.length, self.config.augment.level_db)
        if self.config.regime == "A" and MIXTURE in self.store.statistics:
            scores |= mixture_scores(module, self.store, self.length, load_joint(self.priors, module))
        return scores


def run(config: TrainSeparatorConfig) -> dict[str, Any]:
    """Train, publish and register a separator; the figures of the JSON line."""
    store = crop_store(config)
    workers = default_workers(config.resources, config.fit, side_by_side=False)
    task = task_of(config, store)
    name = run_name(f"train_separator-{config.regime}", relevant(config), *task.marks)
    if config.fresh:
        forget(config.storage, name)
    target = storage.join(config.storage, "models", name)
    tags = {"regime": config.regime, "crops": store.mark}
    with start_run(config, "separator", name, tags=tags | prior_runs(task.priors)) as tracker:
        tracker.dataset(store.dataset, store.mark, store.uri)
        origin = {**tags, "objective": task.objective, "priors": task.priors, "start": task.start}
        origin |= {"clips": task.clips.uri, "dream_priors": config.dreams.priors}
        metrics = train_apart(task, Launch.of(config, name, tracker.run_id, workers, **origin), target)
        alias = "yardstick" if config.regime == "C" else "champion"
        model_uri = tracker.register(checkpoint.local(target), "vsep-separator", alias)
        figures = {k: round(v, 3) for k, v in metrics.items() if k.startswith("si_sdr")}
    return {
        "run_id": tracker.run_id,
        "regime": config.regime,
        "model": target,
        "model_uri": model_uri,
        "steps": int(metrics["step"]),
        **figures,
    }


def plan(config: TrainSeparatorConfig) -> dict[str, Any]:
    """What `run` would do."""
    return {"regime": config.regime, "steps": config.fit.steps, "batch_size": config.fit.batch_size}


def relevant(config: TrainSeparatorConfig) -> TrainSeparatorConfig:
    """The config with its defaults wherever the regime and the objective do not look."""
    plain = TrainSeparatorConfig()
    left_out = [] if config.regime == "A" else ["dreams"]
    if not _self_trains(config):
        left_out += [
            "self_training",
            "refinement",
            "noise_std",
            "beta",
            "temperatures",
            "samples",
            "gradient",
        ]
    return dataclasses.replace(config, **{name: getattr(plain, name) for name in left_out})


def models_of(config: TrainSeparatorConfig, store: CropStore) -> dict[str, str]:
    """Marks of the models that a config names itself: where it starts, and whose dreams it has."""
    found = _find_priors(config, store, config.dreams.priors) if config.dreams.priors else {}
    return prior_marks(found | ({"start": _find_start(config, store)[1]} if config.start else {}))


def task_of(config: TrainSeparatorConfig, store: CropStore) -> SeparatorTask:
    """What a config trains on a store; regime A's dreams are drawn first.

    Raises:
        UserError: the store or the priors are not what the regime needs.
    """
    if config.regime == "C" and not store.paired:
        raise UserError(f"regime C needs sources of common mixtures; {store.uri} holds a folder per source")
    if _self_trains(config) and MIXTURE not in store.statistics:
        raise UserError(
            f"{config.self_training} needs mixtures and {store.uri} has none; "
            "set --sleep-fraction.start 1 --sleep-fraction.end 1"
        )
    asks = config.regime == "A" or _asks_priors(config)
    priors = _find_priors(config, store, config.priors) if asks else {}
    clips = _dreams(config, store, priors) if config.regime == "A" else store
    start = shared(*_find_start(config, store), config.storage) if config.start else ""
    return SeparatorTask(config.fit, config.length, store, clips, priors, config, start)


def _find_start(config: TrainSeparatorConfig, store: CropStore) -> tuple[str, str]:
    """The URI and the checkpoint directory of the separator to start from.

    Raises:
        UserError: there is none, or its sources, format or shape are not those of the run.
    """
    uri, directory, module = find_separator(config.start, config.storage, config.tracking_uri)
    wanted = with_format(config.separator, store)
    if (module.sources, module.sample_rate, module.channels, module.config.backbone) != (
        wanted.sources, wanted.sample_rate, wanted.channels, wanted.backbone,
    ):  # fmt: skip
        raise UserError(f"--start {uri} has other sources, format or backbone than this run")
    return uri, directory


def _dreams(config: TrainSeparatorConfig, store: CropStore, judges: dict[str, str]) -> CropStore:
    dreamers = _find_priors(config, store, config.dreams.priors or config.priors)
    log.info("dreams of %s (--dreams.priors), objective under %s (--priors)", dreamers, judges)
    folder, length = storage.join(config.storage, "dreams"), config.length or store.length
    return dreams(store, dreamers, judges, config.dreams, length, folder, config.fit.seed)


def _find_priors(config: TrainSeparatorConfig, store: CropStore, priors: str) -> dict[str, str]:
    return prior_directories(priors, config.storage, store, config.force)


def _self_trains(config: TrainSeparatorConfig) -> bool:
    return config.regime != "C" and min(config.sleep_fraction.start, config.sleep_fraction.end) < 1


def _asks_priors(config: TrainSeparatorConfig) -> bool:
    """Whether the objective has the priors in it (regime A's dreams are drawn before)."""
    return _self_trains(config) and (config.self_training == "wake" or config.refinement.steps > 0)
