"""The points of a sweep: any field of the two configs, priors shared, what may not be compared refused."""

import dataclasses
import json

import pytest

from vsep_ray.cluster.train.held_out import BOUND
from vsep_ray.cluster.tune import space
from vsep_ray.config import UserError
from vsep_ray.presets import TUNE, TuneConfig


def test_regimes_are_selected_by_what_they_may_look_at():
    assert space.metrics_of(TUNE["small-beta"])[0] == BOUND
    by_clips = dataclasses.replace(TUNE["small-beta"].separator, regime="B")
    by_clips = dataclasses.replace(TUNE["small-beta"], separator=by_clips)
    assert space.metrics_of(by_clips) == space.FIGURES


def test_the_grid_takes_any_field_and_refuses_others():
    axes = (
        "fit.learning_rate=0.001,0.0003",
        "self_training.gradient=entropy,path",
        "self_training.temperatures=[0.3]",
    )
    found = space.grid(TuneConfig(betas=(1.0,), depths=(4, 8), axes=axes))
    assert (
        len(found) == 8
        and found[-1]["self_training.gradient"] == "path"
        and found[-1]["self_training.temperatures"] == [0.3]
    )
    priors, separator = space.configs_of(TuneConfig(), found[-1])
    assert (priors.prior.steps, separator.fit.learning_rate, separator.self_training.gradient) == (
        8,
        0.0003,
        "path",
    )
    assert space.grid(TuneConfig(betas=(), depths=(), axes=("fit.steps=3",))) == [{"fit.steps": 3, "seed": 0}]
    for axis, words in [
        ("fit.rate=1", "no field 'rate'"),
        ("fit.steps=many", "got 'many'"),
        ("fit.steps", "path=value"),
        ("regime=A,B", "cannot be compared"),
    ]:
        with pytest.raises(UserError, match=words):
            space.grid(TuneConfig(axes=(axis,)))


def test_points_share_priors_unless_their_own_settings_differ():
    axes = ("priors.prior.width=16,32", "fit.learning_rate=0.001,0.0003")
    found = space.grid(TuneConfig(betas=(0.1, 1.0), depths=(4,), axes=axes, seeds=(0, 1)))
    assert len(found) == 16 and len({space.label(space.priors_of(p)) for p in found}) == 4
    priors, separator = space.configs_of(TuneConfig(), found[-1])
    assert (priors.prior.width, priors.fit.seed, separator.fit.seed) == (32, 1, 1)
    assert priors.fit.learning_rate == TuneConfig().priors.fit.learning_rate


def test_a_search_may_come_from_a_file(tmp_path):
    path = tmp_path / "search.json"
    path.write_text(json.dumps({"beta": [0.5], "depth": [], "priors.prior.width": [16, 32]}))
    found = space.grid(TuneConfig(search=str(path), seeds=(3,)))
    assert found == [{"beta": 0.5, "seed": 3, "priors.prior.width": w} for w in (16, 32)]
    for text in ("[1]", '{"beta": 1}', "beta", '{"regime": ["A"]}'):
        path.write_text(text)
        with pytest.raises(UserError, match=r"search\.json|compared"):
            space.grid(TuneConfig(search=str(path)))
