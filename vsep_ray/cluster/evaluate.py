"""evaluate: score a separator between floor and ceiling, in parallel over tracks, and make a page to listen
to.

Everything happens at the model's sample rate and channels: stems are resampled to them, mixed, separated and
scored there, so that the numbers are of the model and not of a resampler; what an 8 kHz model loses above 4
kHz is not in them.
"""

import dataclasses
import functools
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import ray
import torch
from torch import Tensor

from vsep_ray import checkpoint
from vsep_ray.chunking import overlap_add
from vsep_ray.cluster import examples
from vsep_ray.cluster.examples import Example, Unit
from vsep_ray.cluster.models import find_separator
from vsep_ray.cluster.runs import start_run
from vsep_ray.config import UserError, fingerprint
from vsep_ray.data import storage
from vsep_ray.data.shards import BadFileError
from vsep_ray.evaluation.scores import METHODS, Score, aggregate, score_track, worst_first
from vsep_ray.inference import amortized
from vsep_ray.presets import EvaluateConfig
from vsep_ray.report import Clip, page, score_figure
from vsep_ray.separators import Separator
from vsep_ray.tracking import Tracker

log = logging.getLogger(__name__)
CHUNK_SECONDS, OVERLAP = 6.0, 0.25
BATCH = 32
EXCERPT_SECONDS = 10.0


def run(config: EvaluateConfig) -> dict[str, Any]:
    """Score, print the table, write the page, log to MLflow; the figures of the JSON line.

    Raises:
        UserError: no such model or data.
    """
    uri, directory, separator = find_separator(config.model, config.storage, config.tracking_uri)
    regime = str(checkpoint.read_provenance(directory).get("regime", "unknown"))
    units = examples.units(config, separator)
    identity = fingerprint([uri, config.dataset, config.root, list(config.map), config.max_tracks])
    name = f"evaluate-{config.dataset}-{identity}"
    with start_run(config, "evaluation", name, tags={"model_uri": uri, "regime": regime}) as tracker:
        on_stems, on_published, failed = _score_all(units, separator, config.bsseval)
        result = aggregate(on_stems)
        print(table(result))
        clips = _listen(on_stems, units, separator, config.listening_tracks)
        facts = _facts(uri, regime, config, separator, on_stems, failed)
        rows = [dataclasses.asdict(s) | {"regime": regime} for s in on_stems]
        report = storage.join(config.storage, "reports", f"{name}.html")
        html = page(f"Separation under regime {regime}: {config.dataset}", rows, clips, facts)
        storage.write_bytes(report, html.encode())
        published = {"published_mixture": aggregate(on_published)} if on_published else {}
        figures = {**facts, **result["model"], **{m: result[m] for m in METHODS if m != "model"}, **published}
        _record(tracker, figures, rows, html, clips)
        return {"run_id": tracker.run_id, **figures, "report": report}


def plan(config: EvaluateConfig) -> dict[str, Any]:
    """What `run` would score."""
    uri, _, separator = find_separator(config.model, config.storage, config.tracking_uri)
    units = examples.units(config, separator)
    return {
        "model": uri,
        "sources": list(separator.sources),
        "units": len(units),
        "max_tracks": config.max_tracks,
    }


def separate(mixtures: Tensor, separator: Separator) -> Tensor:
    """The posterior means at any length, in chunks of 6 s that overlap by a quarter.

    Shape:
        (N, C, T) -> (N, K, C, T), on the CPU
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    separator = separator.to(device)

    def forward(mixture: Tensor) -> Tensor:
        return amortized(mixture.to(device), separator=separator)

    chunk = -(-round(CHUNK_SECONDS * separator.sample_rate) // separator.multiple) * separator.multiple
    if mixtures.shape[-1] <= chunk:
        return torch.cat([forward(m).cpu() for m in mixtures.split(BATCH)])
    hop = chunk - round(chunk * OVERLAP)
    return torch.stack(
        [torch.cat(list(overlap_add(forward, [m], chunk=chunk, hop=hop)), -1) for m in mixtures]
    )


def table(result: Mapping[str, Any]) -> str:
    """Floor, result and oracle per source as text: SI-SDR and SDR, mean / median in dB."""
    lines = [f"{'dB, mean / median':<18}" + "".join(f"{f'{m} SI-SDR':>20}{f'{m} SDR':>20}" for m in METHODS)]
    for source in [*result["model"]["sources"], None]:
        cells = [result[m]["sources"][source] if source else result[m] for m in METHODS]
        texts = (f"{_pair(c['si_sdr_db']):>20}{_pair(c['sdr_db']):>20}" for c in cells)
        lines.append(f"{source or 'all':<18}" + "".join(texts))
    return "\n".join(lines)


def _pair(summary: Mapping[str, float | None]) -> str:
    return " / ".join("-" if v is None else f"{v:.2f}" for v in summary.values())


def _score_all(
    units: Sequence[Unit], separator: Separator, bsseval: bool
) -> tuple[list[Score], list[Score], int]:
    """Scores on the stems' sum, scores on published mixtures, number of tracks that could not be read."""
    module = ray.put(separator)
    parts = ray.get([_remote(_score_unit).remote(unit, module, bsseval) for unit in units])
    failures = [p for p in parts if isinstance(p, str)]
    for message in failures:
        log.warning("not scored: %s", message)
    if len(failures) == len(units):
        raise UserError(f"no track could be read; the first error: {failures[0]}")
    scores = [s for p in parts if not isinstance(p, str) for s in p]
    return [s for s, p in scores if not p], [s for s, p in scores if p], len(failures)


def _remote(function: Any) -> Any:
    return ray.remote(num_cpus=1, num_gpus=1 if ray.cluster_resources().get("GPU") else 0)(function)


def _score_unit(unit: Unit, separator: Separator, bsseval: bool) -> list[tuple[Score, bool]] | str:
    try:
        found = examples.read(unit, separator)
    except BadFileError as error:
        return str(error)
    estimates = separate(torch.stack([e.mixture for e in found]), separator)
    scales, rate = separator.mixing.scales.cpu(), separator.sample_rate
    rows: list[tuple[Score, bool]] = []
    for e, x in zip(found, estimates, strict=True):
        args = (e.track, separator.sources, x, e.references, e.mixture, scales, rate)
        rows += [(score, e.published) for score in score_track(*args, bsseval=bsseval)]
    return rows


def _listen(scores: Iterable[Score], units: Sequence[Unit], separator: Separator, count: int) -> list[Clip]:
    """The sounds of the worst tracks, separated once more: to keep all would take their memory."""
    worst = worst_first(scores)[:count]
    module = ray.put(separator)
    parts = ray.get([_remote(_clips).remote(unit, module, worst) for unit in units]) if worst else []
    clips = [clip for part in parts for clip in part]
    return sorted(clips, key=lambda c: worst.index(c.track))


def _clips(unit: Unit, separator: Separator, tracks: Sequence[str]) -> list[Clip]:
    if isinstance(unit, examples.WholeTrack) and unit.track.id not in tracks:
        return []
    wanted = [e for e in examples.read(unit, separator) if e.track in tracks and not e.published]
    return [clip for e in wanted for clip in _clips_of(_excerpt(e, separator.sample_rate), separator)]


def _excerpt(example: Example, sample_rate: int) -> Example:
    """Ten seconds from a third of the track on."""
    length = round(EXCERPT_SECONDS * sample_rate)
    start = max(0, min(example.mixture.shape[-1] // 3, example.mixture.shape[-1] - length))
    span = slice(start, start + length)
    return Example(example.track, example.references[..., span], example.mixture[..., span])


def _clips_of(example: Example, separator: Separator) -> list[Clip]:
    estimates = separate(example.mixture[None], separator)[0]
    clip = functools.partial(Clip, example.track, sample_rate=separator.sample_rate)
    sounds = [clip("mixture", "mixture", audio=example.mixture.numpy())]
    for k, source in enumerate(separator.sources):
        sounds.append(clip(source, "reference", audio=example.references[k].numpy()))
        sounds.append(clip(source, "model", audio=estimates[k].numpy()))
    return sounds


def _facts(
    uri: str, regime: str, config: EvaluateConfig, separator: Separator, scores: Sequence[Score], failed: int
) -> dict[str, Any]:
    return {
        "model": uri,
        "regime": regime,
        "dataset": config.dataset,
        "tracks": len({s.track for s in scores}),
        "failed": failed,
        "sample_rate": separator.sample_rate,
        "channels": separator.channels,
    }


def _record(
    tracker: Tracker,
    figures: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    html: str,
    clips: Sequence[Clip],
) -> None:
    import pandas

    tracker.metrics(dict(_numbers(figures)))
    tracker.text(html, "report.html")
    tracker.text(pandas.DataFrame(rows).to_csv(index=False), "scores.csv")
    tracker.text(json.dumps(figures, indent=1), "figures.json")
    tracker.figure(score_figure(rows), "scores.png")
    for clip in clips:
        folder = clip.track.replace("/", "_")
        tracker.audio(clip.audio, clip.sample_rate, f"audio/{folder}/{clip.name}-{clip.method}.wav")


def _numbers(figures: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, float]]:
    for name, value in figures.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{name}/")
        elif isinstance(value, int | float):
            yield f"{prefix}{name}", value
