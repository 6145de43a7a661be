"""Numbers of configs have bounds, at any depth."""

import dataclasses

import pytest

from vsep_ray.bounds import check_values
from vsep_ray.config import UserError, option
from vsep_ray.presets import (
    BENCHMARK,
    EVALUATE,
    PREPARE_CROPS,
    QUICKSTART,
    SEPARATE_CATALOG,
    TRAIN_PRIORS,
    TRAIN_SEPARATOR,
    TUNE,
)


@dataclasses.dataclass(frozen=True)
class Inner:
    share: float = option(0.5, least=0.0, most=1.0)
    rates: tuple[float, ...] = option((), above=0.0)


@dataclasses.dataclass(frozen=True)
class Outer:
    songs: str = option("", needed="say which")
    at_most_ten: int = option(3, least=1)
    inner: Inner = dataclasses.field(default_factory=Inner)


@pytest.mark.parametrize(
    ("outer", "words"),
    [
        (Outer(), "--songs is missing: say which"),
        (Outer("a", 0), "--at-most-ten must be at least 1, got 0"),
        (Outer("a", inner=Inner(1.5)), "--inner.share must be between 0 and 1, got 1.5"),
        (Outer("a", inner=Inner(-0.1)), "--inner.share must be between 0 and 1, got -0.1"),
        (Outer("a", inner=Inner(rates=(1.0, 0.0))), "--inner.rates must be more than 0, got 0"),
    ],
)
def test_what_is_out_of_bounds_is_named(outer, words):
    with pytest.raises(UserError, match=f"^{words}$"):
        check_values(outer)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_bounds_are_inside(share):
    check_values(Outer("a", 1, Inner(share, (1e-9,))))


def test_presets_are_within_the_bounds():
    jobs = (
        BENCHMARK, EVALUATE, PREPARE_CROPS, QUICKSTART, TRAIN_PRIORS, TRAIN_SEPARATOR, TUNE,
        {name: dataclasses.replace(c, catalog="songs") for name, c in SEPARATE_CATALOG.items()},
    )  # fmt: skip
    for config in (config for presets in jobs for config in presets.values()):
        check_values(config)
