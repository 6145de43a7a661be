"""The rows of a sweep: one per trial in the order of their numbers, each with its status."""

import dataclasses
from types import SimpleNamespace

import pytest

from vsep_ray.cluster.train.held_out import BOUND, QUIETEST
from vsep_ray.cluster.tune import report, space
from vsep_ray.evaluation.sweeps import dependence
from vsep_ray.presets import TUNE

CONFIG = TUNE["smoke"]


def test_a_trial_that_left_a_source_silent_is_no_candidate():
    assert report.status_of(None, True, 1e-5) == "silent"
    assert report.status_of(None, True, 0.1) == "finished"
    assert report.status_of(None, False, 1e-5) == "stopped"
    assert report.status_of(RuntimeError("x"), True, 0.1) == "failed"


def test_rows_come_in_the_order_of_their_numbers():
    def result(number, **metrics):
        trial = {"number": number, "point": {"beta": float(number)}}
        return SimpleNamespace(config={"trial": trial}, metrics=metrics, error=None)

    figures = dict.fromkeys(space.metrics_of(CONFIG), 1.0)
    done = {**figures, "step": CONFIG.fit.steps, QUIETEST: 0.2}
    rows = report.rows_of([result(2, **done), result(0), result(1, **{**done, QUIETEST: 0.0})], CONFIG)
    assert [r["point"]["beta"] for r in rows] == [0, 1, 2]
    assert [r["status"] for r in rows] == ["stopped", "silent", "finished"]
    assert rows[2][BOUND] == 1.0 and rows[0][BOUND] != pytest.approx(1.0)


class Recorded:
    """What a tracker was told, by name."""

    def __init__(self):
        self.told = {}

    def text(self, content, name):
        self.told[name] = content

    figure = text

    def metrics(self, values):
        self.told |= values


def test_a_grid_has_its_surface_and_its_dependences_drawn_points_have_the_table_alone():
    metrics = space.metrics_of(CONFIG)
    rows = [
        {"point": point, "status": "finished", **dict.fromkeys(metrics, float(k))}
        for k, point in enumerate(space.grid(CONFIG))
    ]
    table = dependence(rows, metrics)
    grid, drawn = Recorded(), Recorded()
    report.record(CONFIG, rows, table, grid)
    report.record(dataclasses.replace(CONFIG, draws=4), rows, table, drawn)
    assert {f"{kind}/{BOUND}.png" for kind in ("sweep", "dependence")} < grid.told.keys()
    assert drawn.told.keys() == {"sweep.json", "rejected_silent"}
