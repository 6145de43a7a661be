"""Optuna's draws, told what Tune would tell: they near the optimum, and come once."""

import dataclasses
import pickle

import numpy as np
import pytest

from vsep_ray.cluster.train.held_out import QUIETEST
from vsep_ray.cluster.tune import space
from vsep_ray.cluster.tune.proposals import Draws
from vsep_ray.presets import TuneConfig

PARABOLA = TuneConfig(
    betas=(0.01, 100.0),
    depths=(2, 4),
    draws=24,
    axes=("self_training.samples=1,4", "self_training.gradient=entropy,path"),
)
PARABOLA = dataclasses.replace(
    PARABOLA, separator=dataclasses.replace(PARABOLA.separator, regime="B"), reduction=1
)
STEPS = PARABOLA.fit.steps


def result(score, step=STEPS, quietest=0.2):
    return {space.IMPROVEMENT: score, "step": step, QUIETEST: quietest, "training_iteration": 1}


def tell(draws, trial_id, number, score):
    """Every third trial is stopped early, every third fails."""
    status = ("finished", "stopped", "failed")[number % 3]
    if status == "failed":
        draws.on_trial_complete(trial_id, error=True)
    else:
        draws.on_trial_complete(trial_id, result(score, STEPS if status == "finished" else 10))


def search(draws, begin=0, end=24):
    """The points that are drawn one after the other."""
    found = []
    for number in range(begin, end):
        drawn = draws.suggest(f"trial{number}")["trial"]
        assert drawn["number"] == number + 1
        found.append(drawn["point"])
        score = -abs(np.log10(found[-1]["beta"]) - 1) - (found[-1]["depth"] == 2)
        tell(draws, f"trial{number}", number, score)
    return found


def test_draws_near_the_optimum_within_their_axes():
    found = search(Draws(PARABOLA))
    assert found == search(Draws(PARABOLA)), "the seed and the results decide"
    assert {p["depth"] for p in found} == {2, 4} and {type(p["self_training.samples"]) for p in found} == {
        int
    }
    assert all(0.01 <= p["beta"] <= 100 and p["self_training.gradient"] in ("entropy", "path") for p in found)
    assert list(found[0]) == list(space.axes_of(PARABOLA))
    far = [np.mean([abs(np.log10(p["beta"]) - 1) for p in part]) for part in (found[:8], found[-8:])]
    assert far[1] < 0.7 * far[0]


def test_a_restored_search_draws_what_an_undisturbed_one_draws(tmp_path):
    before = Draws(PARABOLA)
    found = search(before, 0, 13)
    before.suggest("trial13")  # saved while it runs
    before.save(str(tmp_path / "state"))
    restored = pickle.loads(pickle.dumps(Draws(PARABOLA)))  # as Tune keeps it from the start
    restored.restore(str(tmp_path / "state"))
    whole = Draws(PARABOLA)
    assert search(whole, 0, 13) == found
    whole.suggest("trial13")
    for draws in (restored, whole):
        tell(draws, "trial13", 13, 0.5)
    assert search(restored, 14) == search(whole, 14)


def test_no_point_is_drawn_twice():
    draws = Draws(TuneConfig(betas=(1.0,), depths=(2, 4, 8), seeds=(0, 1), draws=20))
    found = []
    while (drawn := draws.suggest(f"trial{len(found)}")) != Draws.FINISHED:
        found.append(space.label(drawn["trial"]["point"]))
        draws.on_trial_complete(f"trial{len(found) - 1}", error=True)
    assert len(found) == len(set(found)) == 6


@pytest.mark.parametrize("what", [result(9.0, quietest=1e-5), result(float("nan")), None], ids=str)
def test_a_trial_that_is_no_guide_teaches_as_much_as_a_failure(what):
    """Twelve trials that end so leave the search where twelve failures leave it."""
    ends = [{"result": what, "error": what is None}, {"error": True}]
    found = []
    for end in ends:
        draws = Draws(PARABOLA)
        for number in range(12):
            draws.suggest(f"trial{number}")
            draws.on_trial_complete(f"trial{number}", **end)
        found.append(search(draws, 12))
    assert found[0] == found[1]


def test_a_trial_of_which_a_kill_left_no_word_is_not_told():
    draws = Draws(PARABOLA)
    draws.on_trial_result("unknown", result(1.0))
    assert draws.suggest("trial0")["trial"]["number"] == 1
