"""What an evaluation leaves: a table, the lines at its end, and its figures and sounds in MLflow."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from vsep_ray.cluster.evaluate.contenders import Excerpt
from vsep_ray.cluster.runtime import talk
from vsep_ray.evaluation.scores import Score
from vsep_ray.presets import EvaluateConfig
from vsep_ray.report.figures import score_figure, uncertainty_figure
from vsep_ray.tracking import Tracker


def closing(config: EvaluateConfig, figures: Mapping[str, Any]) -> list[talk.Line]:
    """Returns what is said of the scores at the end of the job: the table, and where to listen."""
    failed = figures["failed"]
    return [
        ("", table(figures["methods"])),
        ("tracks", f"{figures['tracks']:,}" + (f"; {failed} could not be read, see above" if failed else "")),
        ("page", figures["report"]),
        ("next", "open the page in a browser: the worst track is its first"),
    ]


def table(methods: Mapping[str, Any]) -> str:
    """Returns floor, contenders and oracle as text, overall and per source.

    Cells are SI-SDR / SDR as means and medians in dB; the last column says how many times faster than real
    time one worker was.
    """
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


def record(
    tracker: Tracker,
    figures: Mapping[str, Any],
    scores: Sequence[Score],
    html: str,
    heard: Sequence[Excerpt],
    sources: Sequence[str],
) -> None:
    """Logs an evaluation: figures, scores, the page, and of the tracks to listen to how sure the model was
    and the sounds.

    Args:
        tracker: of the run.
        figures: of the JSON line.
        scores: all of them.
        html: the page.
        heard: the tracks to listen to.
        sources: names of the stems.
    """
    tracker.metrics(charts(figures))
    tracker.text(html, "report.html")
    tracker.text(pd.DataFrame(scores).to_csv(index=False), "scores.csv")
    tracker.text(json.dumps(figures, indent=1), "figures.json")
    tracker.figure(score_figure(scores), "scores.png")
    for e in heard:
        folder = e.track.replace("/", "_")
        spread = uncertainty_figure(e.predicted.numpy(), e.actual.numpy(), e.frame_seconds, sources)
        tracker.figure(spread, f"uncertainty/{folder}.png")
        for clip in e.clips:
            tracker.audio(clip.audio, clip.sample_rate, f"audio/{folder}/{clip.name}-{clip.method}.wav")


def charts(figures: Mapping[str, Any]) -> dict[str, float]:
    """Returns the figures under names by which MLflow draws one chart per metric, statistic and source, with
    a bar per method.

    Example:
        >>> sources = {"bass": {"sdr_db": {"mean": 3.0}}}
        >>> amortized = {"si_sdr_db": {"mean": 4.5}, "sources": sources}
        >>> charts({"tracks": 2, "methods": {"B amortized": amortized}})
        {'tracks': 2, 'si_sdr_db/mean/B amortized': 4.5, 'sdr_db/bass mean/B amortized': 3.0}
    """
    found = {name: value for name, value in figures.items() if isinstance(value, int | float)}
    for method, summary in figures["methods"].items():
        parts = {"": summary} | {f"{source} ": of for source, of in summary["sources"].items()}
        found |= {
            f"{metric}/{prefix}{statistic}/{method}": value
            for prefix, part in parts.items()
            for metric, statistics in part.items()
            if isinstance(statistics, Mapping) and metric != "sources"
            for statistic, value in statistics.items()
            if value is not None
        }
    return found
