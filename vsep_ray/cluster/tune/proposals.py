"""Optuna draws points for Ray Tune, each in view of the trials that have ended."""

import math
from functools import partial
from typing import Any

from ray.tune.search.optuna import OptunaSearch

from vsep_ray.cluster.train.held_out import QUIETEST
from vsep_ray.cluster.tune.report import status_of
from vsep_ray.cluster.tune.space import axes_of, is_shared, label, metrics_of
from vsep_ray.config import UserError
from vsep_ray.presets import TuneConfig

REPEATS = 100
"""One new point is asked for at most this often: a small search soon has none left."""


class Draws(OptunaSearch):
    """Proposes points by Optuna's TPE over the axes of a sweep, none twice.

    Tune saves it beside the trials, so that a restored sweep goes on with what it has learnt.

    Raises:
        UserError: Optuna is not installed.

    Reference:
        Bergstra et al., Algorithms for hyper-parameter optimization, 2011, section 4.
    """

    def __init__(self, config: TuneConfig) -> None:
        try:
            from optuna import logging, samplers
        except ImportError as error:
            raise UserError("--draws needs Optuna: pip install 'vsep_ray[search]'") from error
        logging.set_verbosity(logging.WARNING)
        self.axes, self.steps = axes_of(config), config.fit.steps
        self.drawn: list[str] = []
        self.asked: dict[str, str] = {}  # Tune's name of a trial -> Optuna's, of which some are repeats
        sampler = samplers.TPESampler(seed=config.fit.seed, constant_liar=True, multivariate=True)
        super().__init__(
            partial(_point, axes=self.axes), metric=metrics_of(config)[0], mode="max", sampler=sampler
        )

    def suggest(self, trial_id: str) -> Any:
        """Returns number and values of a point that was not drawn before; "FINISHED" where none is left."""
        for repeat in range(REPEATS):
            self.asked[trial_id] = f"{trial_id}-{repeat}"
            found = super().suggest(self.asked[trial_id]) or {}
            point = {axis: found[axis] for axis in self.axes}
            if label(point) not in self.drawn:
                self.drawn.append(label(point))
                return {"trial": {"number": len(self.drawn), "point": point}}
            super().on_trial_complete(self.asked[trial_id], error=True)
        return self.FINISHED

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Tells Optuna how far a trial is, if it was saved here too before a kill."""
        if trial_id in self.asked:
            super().on_trial_result(self.asked[trial_id], result)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tells Optuna how a trial ended.

        A trial that was stopped early counts as pruned at its last value; one that failed, or left a source
        silent, as a failure, for its metric is no guide.
        """
        asked, result = self.asked[trial_id], result or {}
        status = status_of(error, result.get("step", 0) >= self.steps, result.get(QUIETEST, 1.0))
        failed = status in ("failed", "silent") or not math.isfinite(result.get(self.metric, math.nan))
        if status == "stopped" and not failed:
            super().on_trial_result(asked, result)
        super().on_trial_complete(asked, result if status == "finished" and not failed else None, failed)


def _point(trial: Any, axes: dict[str, tuple[Any, ...]]) -> dict[str, Any]:
    return {axis: _draw(trial, axis, values) for axis, values in axes.items()}


def _draw(trial: Any, axis: str, values: tuple[Any, ...]) -> Any:
    """Returns anything between the least and the greatest number, in equal ratios above 0.

    Of other values, and where priors would have to be trained for every draw, it is one of those given.
    """
    if is_shared(axis) or len(values) < 2 or not all(type(v) in (int, float) for v in values):
        return values[trial.suggest_int(axis, 0, len(values) - 1)]
    low, high = min(values), max(values)
    if all(type(v) is int for v in values):
        return trial.suggest_int(axis, low, high, log=low > 0)
    return trial.suggest_float(axis, low, high, log=low > 0)
