"""The waves in which a sweep tries its points: the whole grid at once, or what Optuna draws in view of the
waves before."""

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vsep_ray.cluster.tune.space import PRIORS, Point, axes_of, grid, label, metrics_of
from vsep_ray.config import UserError
from vsep_ray.presets import TuneConfig

Row = Mapping[str, Any]
REPEATS = 10
"""How often a wave may draw for each of its points: a small search soon has none left."""


def waves(
    config: TuneConfig, rows: Sequence[Row], size: int, before: Sequence[list[Point]] = ()
) -> Iterator[list[Point]]:
    """Points to try side by side; ``rows``, which the caller extends by each wave's trials, guide the next.

    Draws follow the seed, the rows and the number of draws so far alone, so that the same command draws the
    same points again. A point that was tried is not tried again.

    Args:
        config: of the sweep.
        rows: the trials so far.
        size: points per wave of drawn ones.
        before: the waves of a sweep that goes on, which come first, whatever the size is now.

    Raises:
        UserError: Optuna is asked for and not installed, or an axis is no field of the configs.
    """
    if not config.draws:
        yield grid(config)
        return
    study, planned = _Study(config), list(before)
    while (left := config.draws - len(study.tried)) > 0:
        points = study.ask(min(size, left), planned.pop(0)[:left] if planned else ())
        if not points:  # the axes have no more
            return
        yield points
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
        self.seed = config.fit.seed
        self.metric = metrics_of(config)[0]
        self.axes = axes_of(config)
        self.study = optuna.create_study(direction="maximize")
        self.waiting: list[tuple[Any, Point]] = []
        self.tried: set[str] = set()

    def ask(self, num: int, given: Sequence[Point] = ()) -> list[Point]:
        """The given points, else ``num`` new ones at most: those that were not tried before."""
        from optuna.trial import TrialState

        self._begin_wave()
        for point in given:
            self.study.enqueue_trial({a: _value(point[a], a, v) for a, v in self.axes.items() if len(v) > 1})
        for _ in given or range(REPEATS * num):
            trial = self.study.ask()
            point = {axis: _draw(trial, axis, v) for axis, v in self.axes.items()}
            if label(point) in self.tried:
                self.study.tell(trial, state=TrialState.FAIL)
                continue
            self.tried.add(label(point))
            self.waiting.append((trial, point))
            if not given and len(self.waiting) == num:
                break
        return [point for _, point in self.waiting]

    def _begin_wave(self) -> None:
        """A sampler for each wave: its draws must not depend on how many there were in this process."""
        from optuna.samplers import TPESampler

        seed = zlib.crc32(f"{self.seed} {len(self.tried)}".encode())
        self.study.sampler = TPESampler(seed=seed, constant_liar=True, multivariate=True)

    def tell(self, rows: Sequence[Row]) -> None:
        """What came of the points that were asked for last. One that was stopped early is told with its step;
        one that failed, or left a source silent, as a failure: its metric is no guide."""
        from optuna.trial import TrialState

        found = {label(row["point"]): row for row in rows}
        for trial, point in self.waiting:
            row = found[label(point)]
            if row["status"] in ("failed", "silent") or not math.isfinite(row[self.metric]):
                self.study.tell(trial, state=TrialState.FAIL)
            elif row["status"] == "stopped":
                trial.report(row[self.metric], row["step"])
                self.study.tell(trial, state=TrialState.PRUNED)
            else:
                self.study.tell(trial, row[self.metric])
        self.waiting = []


def _draw(trial: Any, axis: str, values: tuple[Any, ...]) -> Any:
    """Anything between the least and the greatest number, in equal ratios above 0; of other values, and where
    priors would have to be trained for every draw, one of those that are given."""
    if _is_choice(axis, values):
        return values[trial.suggest_int(axis, 0, len(values) - 1)] if len(values) > 1 else values[0]
    low, high = min(values), max(values)
    if all(type(v) is int for v in values):
        return trial.suggest_int(axis, low, high, log=low > 0)
    return trial.suggest_float(axis, low, high, log=low > 0)


def _is_choice(axis: str, values: tuple[Any, ...]) -> bool:
    shared = axis in ("depth", "seed") or axis.startswith(PRIORS)
    return shared or len(values) < 2 or not all(type(v) in (int, float) for v in values)


def _value(drawn: Any, axis: str, values: tuple[Any, ...]) -> Any:
    """What Optuna knows a value by."""
    return values.index(drawn) if _is_choice(axis, values) else drawn
