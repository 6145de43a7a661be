"""train_separator: q(s | m) under regime A, B or C."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import ray
import torch
from torch import Tensor

from vsep_ray.cluster.dreams import dreams
from vsep_ray.cluster.inputs import crop_store, prior_directories, prior_marks
from vsep_ray.cluster.models import load_joint
from vsep_ray.cluster.runs import git_revision, start_run
from vsep_ray.cluster.train import (
    PAIRED,
    Launch,
    StreamSpec,
    Task,
    default_workers,
    forget,
    run_name,
    train,
    with_format,
)
from vsep_ray.config import UserError
from vsep_ray.data import storage
from vsep_ray.data.batches import AugmentConfig, Window, draw_clips, draw_remix, level_factors
from vsep_ray.data.crops import MIXTURE, CropStore, read_crops
from vsep_ray.evaluation.sdr import si_sdr, summarize
from vsep_ray.inference import amortized
from vsep_ray.objectives import Anchored, Objective, Remix, Sleep, Supervised, Wake
from vsep_ray.presets import TrainSeparatorConfig
from vsep_ray.priors import Prior
from vsep_ray.separators import Separator
from vsep_ray.tracking import Tracker

VALID_MIXTURES = 256


@dataclass(frozen=True)
class SeparatorTask(Task):
    """A separator under one regime. ``clips`` is what Sleep remixes: real clips in regime B, dreams in
    regime A."""

    store: CropStore
    clips: CropStore
    priors: dict[str, str]
    config: TrainSeparatorConfig

    @property
    def objective(self) -> str:
        """The name of the objective, for the provenance."""
        if self.config.regime == "C":
            return "Supervised"
        return f"Sleep and {self.config.self_training}" if self._reads_mixtures else "Sleep"

    @property
    def _reads_mixtures(self) -> bool:
        return _self_trains(self.config)

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
        return Wake(separator, joint, config.noise_std, config.beta, config.temperatures, config.samples)

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
        """SI-SDR on remixes of held-out clips of different songs; a yardstick for all regimes, which no
        training step sees."""
        assert isinstance(module, Separator)
        return remix_scores(module, self.store, self.length, self.config.augment.level_db)


def remix_scores(
    separator: Separator, store: CropStore, length: int = 0, level_db: float | None = None
) -> dict[str, float]:
    """Median and mean SI-SDR (dB) and its improvement over the mixture as the estimate, over remixes of
    held-out clips and sources."""
    sources = held_out_remix(store, length, level_db)
    device = next(separator.parameters()).device
    mixture = separator.mixing.mix(sources.to(device))
    estimates = torch.cat([amortized(m, separator=separator).cpu() for m in mixture.split(32)])
    scores = si_sdr(estimates, sources)
    floor = si_sdr(mixture.cpu().unsqueeze(1).expand_as(sources), sources)
    gain, level = summarize(scores - floor), summarize(scores)
    names = {
        "si_sdr_improvement_db": gain.median,
        "si_sdr_improvement_mean_db": gain.mean,
        "si_sdr_db": level.median,
    }
    each = {
        f"si_sdr_improvement_db/{s}": summarize(scores[:, k] - floor[:, k]).median
        for k, s in enumerate(store.sources)
    }
    return {**names, "si_sdr_mean_db": level.mean, **each}


def held_out_remix(store: CropStore, length: int = 0, level_db: float | None = None) -> Tensor:
    """Validation clips of different songs side by side, the same at every call. Shape: (N, K, C, T)."""
    columns = []
    for k, source in enumerate(store.sources):
        split = "valid" if storage.exists(store.partition("valid", source)) else "train"
        crops = read_crops(store, split, source)
        audible = np.flatnonzero(~crops.silent)
        order = np.random.default_rng(k).permutation(audible if len(audible) else np.arange(len(crops.audio)))
        audio = crops.audio[np.resize(order, VALID_MIXTURES)][..., : length or None]
        audio = audio * level_factors(audio, level_db).astype(np.float32)[:, None, None]
        columns.append(torch.from_numpy(audio))
    return torch.stack(columns, 1)


def run(config: TrainSeparatorConfig) -> dict[str, Any]:
    """Train, publish and register a separator; the figures of the JSON line."""
    store = crop_store(config)
    task = task_of(config, store)
    inputs = (store.fingerprint, task.clips.fingerprint, prior_marks(task.priors))
    name = run_name(f"train_separator-{config.regime}", config, *inputs)
    if config.fresh:
        forget(config.storage, name)
    with start_run(
        config, "separator", name, tags={"regime": config.regime, "crops": store.fingerprint}
    ) as tracker:
        tracker.dataset(store.dataset, store.fingerprint, store.uri)
        provenance: dict[str, Any] = {
            "regime": config.regime,
            "objective": task.objective,
            "run_id": tracker.run_id,
        }
        provenance |= {"crops": store.fingerprint, "priors": task.priors, "git": git_revision()}
        workers = default_workers(config.resources, side_by_side=False)
        launch = Launch(
            name, config.storage, config.tracking_uri, tracker.run_id, config.resources, workers, provenance
        )
        target = storage.join(config.storage, "models", name)
        metrics = ray.get(ray.remote(num_cpus=0)(train).remote(task, launch, target))
        alias = "yardstick" if config.regime == "C" else "champion"
        model_uri = tracker.register(storage.local_path(target), "vsep-separator", alias)
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
    clips = _dreams(config, store) if config.regime == "A" else store
    return SeparatorTask(config.fit, config.length, store, clips, priors, config)


def _dreams(config: TrainSeparatorConfig, store: CropStore) -> CropStore:
    dreamers = _find_priors(config, store, config.dream_priors or config.priors)
    folder, length = storage.join(config.storage, "dreams"), config.length or store.length
    return dreams(store, dreamers, config.dreams, length, folder, config.fit.seed, config.dream_temperatures)


def _find_priors(config: TrainSeparatorConfig, store: CropStore, priors: str) -> dict[str, str]:
    return prior_directories(priors, config.storage, store, config.force)


def _self_trains(config: TrainSeparatorConfig) -> bool:
    return config.regime != "C" and min(config.sleep_fraction.start, config.sleep_fraction.end) < 1


def _asks_priors(config: TrainSeparatorConfig) -> bool:
    """Whether the objective has the priors in it (regime A's dreams are drawn before)."""
    return _self_trains(config) and (config.self_training == "wake" or config.refinement.steps > 0)
