"""The points of a sweep: a grid over beta, flow depth, seed and any dotted path of the separator's config."""

import dataclasses
import itertools
import json
from collections.abc import Mapping
from typing import Any

from vsep_ray.cluster.held_out import BOUND
from vsep_ray.config import UserError, replace_path
from vsep_ray.presets import TrainPriorsConfig, TrainSeparatorConfig, TuneConfig

IMPROVEMENT = "si_sdr_improvement_db"
"""Median over remixes of held-out clips: no paired song is looked at."""
FIGURES = (IMPROVEMENT, "si_sdr_improvement_mean_db")
INCOMPARABLE = ("regime", "separator.noise_std")
Point = dict[str, Any]


def metrics_of(config: TuneConfig) -> tuple[str, ...]:
    """The metrics of a trial, the one that selects first: in regime A the bound at beta = 1 and one noise
    level, which sees mixtures alone; in B and C the SI-SDR of remixed held-out clips. Both can be compared
    across beta, temperatures and Wake's noise levels, which the training loss cannot."""
    return (BOUND, *FIGURES) if config.separator.regime == "A" else FIGURES


def grid(config: TuneConfig) -> list[Point]:
    """The points of the search, in the order in which they are tried.

    Raises:
        UserError: an axis that is no field of the separator's config, or a value of another type.
    """
    axes = {
        "beta": config.betas,
        "depth": config.depths,
        **dict(_axis(text) for text in config.axes),
        "seed": config.seeds,
    }
    points = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    for point in points:
        configs_of(config, point)
    return points


def label(point: Point) -> str:
    """A point in words.

    Example:
        >>> label({"beta": 0.1, "depth": 4})
        'beta=0.1 depth=4'
    """
    return " ".join(f"{k}={v}" for k, v in point.items())


def configs_of(
    config: TuneConfig, point: Mapping[str, Any]
) -> tuple[TrainPriorsConfig, TrainSeparatorConfig]:
    """The job configs of one point: beta and depth by their names, everything else by its dotted path in
    the separator's config."""
    priors = replace_path(config.priors, "prior.steps", point["depth"])
    priors = replace_path(priors, "fit.seed", point["seed"])
    separator = replace_path(config.separator, "fit.seed", point["seed"])
    separator = dataclasses.replace(separator, beta=point["beta"])
    for path, value in point.items():
        if path not in ("beta", "depth", "seed"):
            separator = replace_path(separator, path, value)
    common = {n: getattr(config, n) for n in ("storage", "tracking_uri", "experiment", "parent_run", "fresh")}
    return dataclasses.replace(priors, **common), dataclasses.replace(separator, **common)


def _axis(text: str) -> tuple[str, tuple[Any, ...]]:
    path, _, values = text.partition("=")
    if path in INCOMPARABLE:
        raise UserError(
            f"--axes {path}: trials of different {path} cannot be compared; run one sweep for each"
        )
    if not values:
        raise UserError(f"--axes takes path=value,value such as fit.learning_rate=0.001,0.0003, got {text!r}")
    try:
        return path, tuple(json.loads(f"[{values}]"))
    except json.JSONDecodeError:  # words, as in gradient=entropy,path
        return path, tuple(values.split(","))
