"""quickstart runs the whole chain on toy waves, job by job, each through its own `run`."""

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from vsep_ray import storage
from vsep_ray.audio.io import write
from vsep_ray.audio.resampling import resample
from vsep_ray.cluster import prepare_crops
from vsep_ray.cluster.evaluate import job as evaluate
from vsep_ray.cluster.runtime import talk
from vsep_ray.cluster.runtime.tracked_run import start_run
from vsep_ray.cluster.separate import job as separate
from vsep_ray.cluster.train import priors as train_priors
from vsep_ray.cluster.train import separator
from vsep_ray.crops.reading import read_crops
from vsep_ray.crops.store import CropStore
from vsep_ray.datasets.track import MIXTURE
from vsep_ray.presets import CropsConfig, EvaluateConfig, JobConfig, QuickstartConfig, SeparateCatalogConfig

log = logging.getLogger(__name__)
CROPS_PER_TRACK = 40


def run(config: QuickstartConfig) -> dict[str, Any]:
    """Makes crops, priors, separators of regimes A and B, their evaluation and a small catalog.

    Returns:
        The figures of the JSON line.
    """
    with start_run(config, "quickstart", f"quickstart, {config.preset}") as tracker:
        below: dict[str, Any] = {**config.places(), "fresh": config.fresh, "preset": config.preset}
        below |= {"experiment": config.experiment or "vsep/quickstart", "parent_run": tracker.run_id}
        log.info("1/5 crops")
        crops = prepare_crops.prepare(dataclasses.replace(config.crops, **below))
        store = CropStore.open(crops["output"])
        log.info("2/5 priors of %s", ", ".join(store.sources))
        priors = _done(train_priors, dataclasses.replace(config.priors, **below, crops=(store.uri,)))
        log.info("3/5 separators: regime A, then B")
        inputs: dict[str, Any] = {"crops": (store.uri,), "priors": priors["priors"]}
        models = {
            regime: _done(separator, dataclasses.replace(job, **below, **inputs))
            for regime, job in config.regimes().items()
        }
        log.info("4/5 evaluation: one pass, and refined by the priors")
        chosen = tuple(m["model"] for m in models.values())  # both regimes by both methods in one table
        place: dict[str, Any] = {"priors": priors["priors"], "dataset": CropsConfig(store.uri)}
        asked = EvaluateConfig(**below, **place, model=chosen, methods=config.methods)
        scores = _done(evaluate, asked)
        log.info("5/5 a small catalog")
        catalog = _catalog(config, below, store, models["B"]["model"])
        figures = _figures(config, store, priors, scores, catalog)
        tracker.metrics({k: v for k, v in figures.items() if isinstance(v, float)})
        for name, levels in figures["si_sdr_db"].items():
            tracker.metrics({f"si_sdr_db/{k}/{name}": v for k, v in levels.items() if v is not None})
    return {"run_id": tracker.run_id, **figures, "model_uri": models["B"]["model_uri"]}


def plan(config: QuickstartConfig) -> dict[str, Any]:
    """Returns what `run` would do."""
    trained = ["train_priors", "train_separator A", "train_separator B"]
    return {"steps": ["prepare_crops", *trained, "evaluate", "separate_catalog"]}


def closing(config: QuickstartConfig, figures: Mapping[str, Any]) -> list[talk.Line]:
    """Returns what is said at the end of the chain: what came out, and what to open."""
    scores = ", ".join(
        f"{name} {v['mean']:.1f}" for name, v in figures["improvements_db"].items() if v["mean"]
    )
    return [
        ("", f"SI-SDR improvement in dB, mean over held-out toy mixtures: {scores}"),
        ("page", figures["report"]),
        ("stems", figures["stems"]),
        ("next", "open the page; then your own songs: " + talk.command("separate_catalog", config, "songs/")),
    ]


def _catalog(config: QuickstartConfig, below: dict[str, Any], store: CropStore, model: str) -> dict[str, Any]:
    """Makes a folder of toy mixtures, every other one as 44.1 kHz stereo, and separates it."""
    root = storage.local_path(storage.join(config.storage, "toy_catalog"))
    mixtures = read_crops(store, "test", MIXTURE, CROPS_PER_TRACK * config.catalog_tracks).audio
    for i, part in enumerate(np.array_split(mixtures, config.catalog_tracks)):
        audio = np.concatenate(list(part), axis=-1)
        stereo = i % 2
        rate = 44_100 if stereo else store.sample_rate
        audio = np.repeat(resample(audio, store.sample_rate, rate), 1 + stereo, axis=0)
        path = root / f"album {stereo + 1}" / f"track {i + 1}.{'flac' if stereo else 'wav'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, audio, rate)
    output = storage.join(config.storage, "catalogs", "quickstart")
    return _done(separate, SeparateCatalogConfig(**below, catalog=str(root), model=model, output=output))


def _done(job: Any, config: JobConfig) -> dict[str, Any]:
    """Returns the figures of one of the jobs, whose run has a description then."""
    figures = job.run(config)
    talk.describe(config, figures, job.closing(config, figures))
    return figures


def _figures(
    config: QuickstartConfig,
    store: CropStore,
    priors: dict[str, Any],
    scores: dict[str, Any],
    catalog: dict[str, Any],
) -> dict[str, Any]:
    methods = scores["methods"]
    best = f"B {config.methods[-1]}"
    improvements = {n: m["si_sdr_improvement_db"] for n, m in methods.items()}
    return {
        "setting": f"{config.preset}: {store.dataset}, {store.sample_rate} Hz, {store.length} samples",
        "regime": "B",
        "method": best,
        "si_sdr_improvement_db": improvements[best]["median"],
        "si_sdr_improvement_mean_db": improvements[best]["mean"],
        "improvements_db": improvements,
        "si_sdr_db": {n: m["si_sdr_db"] for n, m in methods.items()},
        "prior_accuracy": {s: max(v.values()) for s, v in priors["discrimination"]["accuracy"].items()},
        "catalog": {k: catalog[k] for k in ("tracks", "separated", "skipped", "failed", "realtime_factor")},
        "report": scores["report"],
        "stems": catalog["output"],
        "storage": config.storage,
        "tracking_uri": config.tracking_uri,
    }
