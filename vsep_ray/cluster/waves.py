"""The waves in which a sweep tries its points: the whole grid at once, or what Optuna draws in view of the
waves before."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vsep_ray.cluster.points import PRIORS, Point, axes_of, grid, label, metrics_of
from vsep_ray.config import UserError
from vsep_ray.presets import TuneConfig

Row = Mapping[str, Any]


def waves(config: TuneConfig, rows: Sequence[Row], size: int) -> Iterator[list[Point]]:
    """Points to try side by side; ``rows``, which the caller extends by each wave's trials, guide the next.

    Draws follow the seed and the rows alone, so that the same command draws the same points again.

    Args:
        config: of the sweep.
        rows: the trials so far.
        size: points per wave of drawn ones.

    Raises:
        UserError: Optuna is asked for and not installed, or an axis is no field of the configs.
    """
    if not config.draws:
        yield grid(config)
        return
    study = _Study(config)
    while study.asked < config.draws:
        yield study.ask(min(size, config.draws - study.asked))
        study.tell(rows)


class _Study:
    """Optuna's TPE over the axes; reference: Bergstra et al., Algorithms for hyper-parameter optimization,
    2011, section 4."""

    def __init__(self, config: TuneConfig) -> None:
        try:
            import optuna
        except ImportError as error:
            raise UserError("--draws needs Optuna: pip install 'vsep_ray[search]'") from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        grid(config)  # refuses axes that are no fields
        self.metric = metrics_of(config)[0]
        self.axes = axes_of(config)
        sampler = optuna.samplers.TPESampler(seed=0, constant_liar=True, multivariate=True)
        self.study = optuna.create_study(direction="maximize", sampler=sampler)
        self.waiting: list[tuple[Any, Point]] = []
        self.asked = 0

    def ask(self, num: int) -> list[Point]:
        """Points that differ from one another, ``num`` of them at most."""
        for _ in range(num):
            trial = self.study.ask()
            self.waiting.append((trial, {axis: _draw(trial, axis, v) for axis, v in self.axes.items()}))
        self.asked += num
        return list({label(point): point for _, point in self.waiting}.values())

    def tell(self, rows: Sequence[Row]) -> None:
        """What came of the points that were asked for last; one that failed counts as such."""
        from optuna.trial import TrialState

        values = {label(row["point"]): row[self.metric] for row in rows}
        for trial, point in self.waiting:
            value = values[label(point)]
            if math.isfinite(value):
                self.study.tell(trial, value)
            else:
                self.study.tell(trial, state=TrialState.FAIL)
        self.waiting = []


def _draw(trial: Any, axis: str, values: tuple[Any, ...]) -> Any:
    """Anything between the least and the greatest number, in equal ratios above 0; of other values, and where
    priors would have to be trained for every draw, one of those that are given."""
    shared = axis in ("depth", "seed") or axis.startswith(PRIORS)
    if shared or len(values) < 2 or not all(type(v) in (int, float) for v in values):
        return values[trial.suggest_int(axis, 0, len(values) - 1)] if len(values) > 1 else values[0]
    low, high = min(values), max(values)
    if all(type(v) is int for v in values):
        return trial.suggest_int(axis, low, high, log=low > 0)
    return trial.suggest_float(axis, low, high, log=low > 0)
