"""evaluate: score separators and ways of inference between floor and ceiling, in parallel over tracks, and
make a page to listen to.

Everything happens at the model's sample rate and channels: stems are resampled to them, mixed, separated and
scored there, so that the numbers are of the model and not of a resampler; what an 8 kHz model loses above 4
kHz is not in them.
"""

import json
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
import torch

from vsep_ray import storage
from vsep_ray.cluster.evaluate import examples, excerpts
from vsep_ray.cluster.evaluate.contenders import Contender, contenders
from vsep_ray.cluster.evaluate.examples import Portion
from vsep_ray.cluster.evaluate.excerpts import Excerpt
from vsep_ray.cluster.runtime import capacity
from vsep_ray.cluster.runtime.tracked_run import start_run
from vsep_ray.config import UserError, fingerprint, short_name, to_dict
from vsep_ray.datasets.streams import BadFileError
from vsep_ray.evaluation.scores import CEILING, FLOOR, Score, aggregate, score_track, worst_first
from vsep_ray.presets import EvaluateConfig
from vsep_ray.report.figures import score_figure, uncertainty_figure
from vsep_ray.report.page import page
from vsep_ray.tracking import Tracker

log = logging.getLogger(__name__)


@dataclass
class _Result:
    """Scores on the stems' sum and on published mixtures, time per method, tracks that could not be read."""

    scores: list[Score] = field(default_factory=list)
    published: list[Score] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    audio_seconds: float = 0.0
    failed: int = 0


def run(config: EvaluateConfig) -> dict[str, Any]:
    """Score, print the table, write the page, log to MLflow; the figures of the JSON line.

    Raises:
        UserError: no such model, priors or data.
    """
    rivals = contenders(config)
    first = rivals[0]
    portions = examples.portions(config, first.separator)
    dataset = short_name(type(config.dataset))
    name = f"evaluate-{dataset}-{_identity(config, rivals)}"
    with start_run(
        config, "evaluation", name, tags={"model_uri": first.uri, "regime": first.regime}
    ) as tracker:
        result = _score_all(config, portions, rivals)
        figures = _figures(config, rivals, result)
        print(table(figures["methods"]))
        heard = _listen(config, result.scores, portions, rivals)
        report = storage.join(config.storage, "reports", f"{name}.html")
        clips = [clip for e in heard for clip in e.clips]
        facts = {k: v for k, v in figures.items() if isinstance(v, str | int | float)}
        html = page(f"Separation under regime {first.regime}: {dataset}", result.scores, clips, facts)
        storage.write_bytes(report, html.encode())
        _record(tracker, figures, result.scores, html, heard, first.separator.sources)
        return {"run_id": tracker.run_id, **figures, "report": report}


def plan(config: EvaluateConfig) -> dict[str, Any]:
    """What `run` would score."""
    rivals = contenders(config)
    return {
        "contenders": {c.name: c.uri for c in rivals},
        "sources": list(rivals[0].separator.sources),
        "units": len(examples.portions(config, rivals[0].separator)),
        "max_tracks": config.max_tracks,
    }


def table(methods: Mapping[str, Any]) -> str:
    """Floor, contenders and oracle, overall and per source: SI-SDR / SDR as means and medians in dB, and how
    many times faster than real time one worker was."""
    names = [*next(iter(methods.values()))["sources"], None]
    head = f"{'dB: SI-SDR / SDR, mean (median)':<32}" + "".join(f"{n or 'all':>34}" for n in names)
    lines = [f"{head}{'x real time':>14}"]
    for method, summary in methods.items():
        cells = [summary["sources"][n] if n else summary for n in names]
        texts = "".join(f"{_pair(c['si_sdr_db'])} / {_pair(c['sdr_db'])}".rjust(34) for c in cells)
        lines.append(f"{method:<32}{texts}{summary.get('realtime_factor', '-'):>14}")
    return "\n".join(lines)


def _pair(summary: Mapping[str, float | None]) -> str:
    mean, median = summary["mean"], summary["median"]
    return "-" if mean is None or median is None else f"{mean:.2f} ({median:.2f})"


def _identity(config: EvaluateConfig, rivals: Sequence[Contender]) -> str:
    options = to_dict([config.refine, config.langevin]) if any(c.joint for c in rivals) else []
    data = [to_dict(config.dataset), config.max_tracks, config.priors, options]
    return fingerprint([[c.uri for c in rivals], list(config.methods), *data])


def _score_all(config: EvaluateConfig, portions: Sequence[Portion], rivals: Sequence[Contender]) -> _Result:
    shared, score = ray.put(list(rivals)), _remote(_score_portion, config)
    parts = ray.get([score.remote(portion, shared, config.bsseval) for portion in portions])
    total, errors = _Result(), [p for p in parts if isinstance(p, str)]
    for message in errors:
        log.warning("not scored: %s", message)
    if len(errors) == len(portions):
        raise UserError(f"no track could be read; the first error: {errors[0]}")
    total.failed = len(errors)
    for part in parts:
        if isinstance(part, _Result):
            total.scores += part.scores
            total.published += part.published
            total.audio_seconds += part.audio_seconds
            total.seconds = {n: total.seconds.get(n, 0.0) + s for n, s in part.seconds.items()}
    return total


def _remote(function: Any, config: EvaluateConfig) -> Any:
    return ray.remote(num_cpus=1, num_gpus=min(1, capacity.gpus(config.device)))(function)


def _score_portion(portion: Portion, rivals: Sequence[Contender], bsseval: bool) -> _Result | str:
    separator, result = rivals[0].separator, _Result()
    try:
        found = examples.read(portion, separator)
    except BadFileError as error:
        return str(error)
    mixtures = torch.stack([e.mixture for e in found])
    result.audio_seconds = mixtures[:, 0].numel() / separator.sample_rate
    estimates = {}
    for rival in rivals:
        torch.manual_seed(0)  # a second run of the job draws the same noise
        since = time.perf_counter()
        estimates[rival.name] = rival.separate(mixtures)
        result.seconds[rival.name] = time.perf_counter() - since
    scales, rate = separator.mixing.scales.cpu(), separator.sample_rate
    for i, e in enumerate(found):
        mine = {n: x[i] for n, x in estimates.items()}
        rows = score_track(
            e.track, separator.sources, mine, e.references, e.mixture, scales, rate, bsseval=bsseval
        )
        (result.published if e.published else result.scores).extend(rows)
    return result


def _figures(config: EvaluateConfig, rivals: Sequence[Contender], result: _Result) -> dict[str, Any]:
    """The first contender's summary on top, every method's below ``methods``."""
    first, methods = rivals[0], aggregate(result.scores)
    for name, seconds in result.seconds.items():
        methods[name]["realtime_factor"] = round(result.audio_seconds / seconds, 2)
    published = {"published_mixture": aggregate(result.published)} if result.published else {}
    return {
        "model": first.uri,
        "regime": first.regime,
        "method": first.name,
        "dataset": short_name(type(config.dataset)),
        "tracks": len({s.track for s in result.scores}),
        "failed": result.failed,
        "sample_rate": first.separator.sample_rate,
        "channels": first.separator.channels,
        **methods[first.name],
        FLOOR: methods[FLOOR],
        CEILING: methods[CEILING],
        "methods": methods,
        **published,
    }


def _listen(
    config: EvaluateConfig, scores: Iterable[Score], portions: Sequence[Portion], rivals: Sequence[Contender]
) -> list[Excerpt]:
    """The sounds of the worst tracks, separated once more: to keep all would take their memory."""
    worst = worst_first(scores)[: config.listening_tracks]
    if not worst:
        return []
    shared, cut = ray.put(list(rivals)), _remote(excerpts.excerpts, config)
    parts = ray.get([cut.remote(portion, shared, worst) for portion in portions])
    return sorted((e for part in parts for e in part), key=lambda e: worst.index(e.track))


def _record(
    tracker: Tracker,
    figures: Mapping[str, Any],
    scores: Sequence[Score],
    html: str,
    heard: Sequence[Excerpt],
    sources: Sequence[str],
) -> None:
    import pandas

    tracker.metrics(dict(_numbers(figures)))
    tracker.text(html, "report.html")
    tracker.text(pandas.DataFrame(scores).to_csv(index=False), "scores.csv")
    tracker.text(json.dumps(figures, indent=1), "figures.json")
    tracker.figure(score_figure(scores), "scores.png")
    for e in heard:
        folder = e.track.replace("/", "_")
        spread = uncertainty_figure(e.predicted.numpy(), e.actual.numpy(), e.frame_seconds, sources)
        tracker.figure(spread, f"uncertainty/{folder}.png")
        for clip in e.clips:
            tracker.audio(clip.audio, clip.sample_rate, f"audio/{folder}/{clip.name}-{clip.method}.wav")


def _numbers(figures: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, float]]:
    for name, value in figures.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{name}/")
        elif isinstance(value, int | float):
            yield f"{prefix}{name}", value
