"""A sweep searches a grid over beta, flow depth, seed, and any field of the two configs behind its points."""

import dataclasses
import itertools
import json
from collections.abc import Mapping
from typing import Any

from vsep_ray import storage
from vsep_ray.cluster.train.held_out import BOUND
from vsep_ray.config import UserError, replace_path
from vsep_ray.presets import TrainPriorsConfig, TrainSeparatorConfig, TuneConfig

IMPROVEMENT = "si_sdr_improvement_db"
"""This is a median over remixes of held-out clips: no paired song is looked at."""
FIGURES = (IMPROVEMENT, "si_sdr_improvement_mean_db")
INCOMPARABLE = ("regime", "separator.noise_std")
SHORT = {"beta": "self_training.beta", "depth": "prior.steps", "seed": "fit.seed"}
"""Some axes have names of their own, for these paths."""
PRIORS = "priors."
"""Paths in the priors' config begin so; all others are in the separator's."""
Point = dict[str, Any]


def metrics_of(config: TuneConfig) -> tuple[str, ...]:
    """Returns the metrics of a trial, the one that selects first.

    In regime A it is the bound at beta = 1 and one noise level, which sees mixtures alone; in B and C the
    SI-SDR of remixed held-out clips. Both can be compared across beta, temperatures and Wake's noise levels,
    which the training loss cannot.
    """
    return (BOUND, *FIGURES) if config.separator.regime == "A" else FIGURES


def axes_of(config: TuneConfig) -> dict[str, tuple[Any, ...]]:
    """Returns what is searched: name -> values, from the flags and, before them, the search file.

    Raises:
        UserError: an axis whose values cannot be compared, or a file that is no search.
    """
    axes = {
        "beta": config.betas,
        "depth": config.depths,
        **dict(_axis(text) for text in config.axes),
        "seed": config.seeds,
        **(_search(config.search) if config.search else {}),
    }
    for path in INCOMPARABLE:
        if path in axes:
            raise UserError(f"trials of different {path} cannot be compared; run one sweep for each")
    return {name: values for name, values in axes.items() if values}


def grid(config: TuneConfig) -> list[Point]:
    """Returns the points of the search, in the order in which they are tried.

    Raises:
        UserError: an axis that is no field of the configs, or a value of another type.
    """
    axes = axes_of(config)
    points = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    for point in points:
        configs_of(config, point)
    return points


def label(point: Point) -> str:
    """Returns a point in words.

    Example:
        >>> label({"beta": 0.1, "depth": 4})
        'beta=0.1 depth=4'
    """
    return " ".join(f"{k}={v}" for k, v in point.items())


def configs_of(
    config: TuneConfig, point: Mapping[str, Any]
) -> tuple[TrainPriorsConfig, TrainSeparatorConfig]:
    """Returns the job configs of one point.

    Beta, depth and seed go by their names, what begins with ``priors.`` by its dotted path in the priors'
    config, everything else by its path in the separator's.
    """
    priors, separator = config.priors, config.separator
    for path, value in point.items():
        if is_shared(path):
            priors = replace_path(priors, SHORT.get(path, path.removeprefix(PRIORS)), value)
        if path != "depth" and not path.startswith(PRIORS):
            separator = replace_path(separator, SHORT.get(path, path), value)
    common: dict[str, Any] = {**config.places(), "fresh": config.fresh}
    return dataclasses.replace(priors, **common), dataclasses.replace(separator, **common)


def priors_of(point: Point) -> Point:
    """Returns the part of a point that its priors depend on: points that share it share their priors.

    Example:
        >>> priors_of({"beta": 0.1, "depth": 4, "priors.prior.width": 32, "fit.steps": 5, "seed": 0})
        {'depth': 4, 'priors.prior.width': 32, 'seed': 0}
    """
    return {k: v for k, v in point.items() if is_shared(k)}


def is_shared(axis: str) -> bool:
    """Returns whether priors depend on an axis."""
    return axis in ("depth", "seed") or axis.startswith(PRIORS)


def _search(uri: str) -> dict[str, tuple[Any, ...]]:
    try:
        found = json.loads(storage.read_bytes(uri))
        return {name: tuple(values) for name, values in found.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        example = '{"beta": [0.1, 1], "priors.prior.width": [32]}'
        raise UserError(f"--search {uri}: expected a JSON file such as {example}: {error}") from error


def _axis(text: str) -> tuple[str, tuple[Any, ...]]:
    path, _, values = text.partition("=")
    if not values:
        raise UserError(f"--axes takes path=value,value such as fit.learning_rate=0.001,0.0003, got {text!r}")
    try:
        return path, tuple(json.loads(f"[{values}]"))
    except json.JSONDecodeError:  # words, as in gradient=entropy,path
        return path, tuple(values.split(","))
