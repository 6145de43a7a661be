"""evaluate scores separators and ways of inference between floor and ceiling, and makes a page to listen to.

Everything happens at the model's sample rate and channels: stems are resampled to them, mixed, separated and
scored there, so that the numbers are of the model and not of a resampler; what an 8 kHz model loses above 4
kHz is not in them.
"""

import dataclasses
import functools
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import ray
import torch

from vsep_ray import storage
from vsep_ray.cluster.evaluate import examples
from vsep_ray.cluster.evaluate.contenders import Contender, Excerpt, excerpts, find_contenders
from vsep_ray.cluster.evaluate.examples import Portion
from vsep_ray.cluster.evaluate.report import closing, record
from vsep_ray.cluster.runtime import capacity
from vsep_ray.cluster.runtime.progress import gathered
from vsep_ray.cluster.runtime.tracked_run import start_run
from vsep_ray.config import UserError, fingerprint, short_name, to_dict
from vsep_ray.datasets.streams import BadFileError
from vsep_ray.evaluation.scores import CEILING, FLOOR, Score, aggregate, score_track, worst_first
from vsep_ray.presets import EvaluateConfig
from vsep_ray.report.page import page
from vsep_ray.streaming import Selection

__all__ = ["closing", "plan", "run"]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Result:
    """Scores are of the stems' sum and of published mixtures; times are per method.

    ``failed`` counts tracks that could not be read.
    """

    scores: list[Score]
    published: list[Score]
    seconds: dict[str, float]
    audio_seconds: float
    failed: int = 0


def run(config: EvaluateConfig) -> dict[str, Any]:
    """Scores, prints the table, writes the page, and logs to MLflow.

    Returns:
        The figures of the JSON line.

    Raises:
        UserError: there are no such models, priors or data.
    """
    contenders = find_contenders(config)
    first = contenders[0]
    portions = examples.portions(config, first.separator)
    selection = examples.scored(config, portions, first.separator)
    dataset = short_name(type(config.dataset))
    name = f"evaluate-{dataset}-{_identity(config, contenders)}"
    title, tags = f"evaluation on {dataset}", {"model_uri": first.uri, "regime": first.regime}
    given = dataclasses.replace(config, model=tuple(c.uri for c in contenders))
    with start_run(config, "evaluation", title, tags=tags, params=given) as tracker:
        result = _score_all(config, portions, contenders, selection)
        figures = _figures(config, contenders, result)
        heard = _listen(config, result.scores, portions, contenders, selection)
        report = storage.join(config.storage, "reports", f"{name}.html")
        clips = [clip for e in heard for clip in e.clips]
        facts = {k: v for k, v in figures.items() if isinstance(v, str | int | float)}
        title = f"Separation of {dataset}: regime {', regime '.join(c.name for c in contenders)}"
        html = page(title, result.scores, clips, facts)
        storage.write_bytes(report, html.encode())
        record(tracker, figures, result.scores, html, heard, selection.stems)
        return {"run_id": tracker.run_id, **figures, "report": report}


def plan(config: EvaluateConfig) -> dict[str, Any]:
    """Returns what `run` would score."""
    contenders = find_contenders(config)
    portions = examples.portions(config, contenders[0].separator)
    return {
        "contenders": {c.name: c.uri for c in contenders},
        "sources": list(examples.scored(config, portions, contenders[0].separator).stems),
        "units": len(portions),
        "max_tracks": config.max_tracks,
    }


def _identity(config: EvaluateConfig, contenders: Sequence[Contender]) -> str:
    options = to_dict([config.refine, config.langevin]) if any(c.joint for c in contenders) else []
    data = [to_dict(config.dataset), config.max_tracks, config.priors, options]
    data += [config.sources] if config.sources != "auto" else []
    return fingerprint([[c.uri for c in contenders], list(config.methods), *data])


def _score_all(
    config: EvaluateConfig,
    portions: Sequence[Portion],
    contenders: Sequence[Contender],
    selection: Selection,
) -> _Result:
    parts = _over(portions, "evaluation", _score_portion, config, contenders, selection, config.bsseval)
    errors = [p for p in parts if isinstance(p, str)]
    good = [p for p in parts if isinstance(p, _Result)]
    for message in errors:
        log.warning("not scored: %s", message)
    if not good:
        raise UserError(f"no track could be read; the first error: {errors[0]}")
    return _Result(
        [s for part in good for s in part.scores],
        [s for part in good for s in part.published],
        {contender.name: sum(part.seconds[contender.name] for part in good) for contender in contenders},
        sum(part.audio_seconds for part in good),
        len(errors),
    )


def _over(
    portions: Sequence[Portion],
    what: str,
    do: Any,
    config: EvaluateConfig,
    contenders: Sequence[Contender],
    *more: Any,
) -> list[Any]:
    """Returns what a function of a portion and the contenders returns, for each portion in parallel."""
    shared = ray.put(list(contenders))
    task = capacity.on_device(do, config.device)
    return gathered([task.remote(portion, shared, *more) for portion in portions], what, "portions")


def _score_portion(
    portion: Portion, contenders: Sequence[Contender], selection: Selection, bsseval: bool
) -> _Result | str:
    separator = contenders[0].separator
    try:
        found = examples.read(portion, separator)
    except BadFileError as error:
        return str(error)
    mixtures = torch.stack([e.mixture for e in found])
    rate = separator.sample_rate
    result = _Result([], [], {}, mixtures[:, 0].numel() / rate)
    estimates = {}
    for contender in contenders:
        torch.manual_seed(0)  # a second run of the job draws the same noise
        since = time.perf_counter()
        estimates[contender.name] = contender.separate(mixtures)
        result.seconds[contender.name] = time.perf_counter() - since
    fold = functools.partial(examples.fold, selection=selection, scales=separator.mixing.scales.cpu())
    for i, e in enumerate(found):
        mine = {n: fold(x[i])[0] for n, x in estimates.items()}
        references, scales = fold(e.references)
        rows = score_track(
            e.track, selection.stems, mine, references, e.mixture, scales, rate, bsseval=bsseval
        )
        (result.published if e.published else result.scores).extend(rows)
    return result


def _figures(config: EvaluateConfig, contenders: Sequence[Contender], result: _Result) -> dict[str, Any]:
    """Returns the first contender's summary on top, every method's below ``methods``."""
    first, methods = contenders[0], aggregate(result.scores)
    for name, seconds in result.seconds.items():
        methods[name]["realtime_factor"] = round(result.audio_seconds / seconds, 2)
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
        **({"published_mixture": aggregate(result.published)} if result.published else {}),
    }


def _listen(
    config: EvaluateConfig,
    scores: Iterable[Score],
    portions: Sequence[Portion],
    contenders: Sequence[Contender],
    selection: Selection,
) -> list[Excerpt]:
    """Returns sounds of the worst tracks, separated once more: to keep all would take their memory."""
    worst = worst_first(scores)[: config.listening_tracks]
    if not worst:
        return []
    parts = _over(portions, "sounds for the page", excerpts, config, contenders, selection, worst)
    return sorted((e for part in parts for e in part), key=lambda e: worst.index(e.track))
