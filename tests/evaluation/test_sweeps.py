import math

import pytest

from vsep_ray.evaluation.sweeps import choose, dependence


def row(beta, seed, value, status="finished", **point):
    return {"point": {"beta": beta, **point, "seed": seed}, "status": status, "db": value}


def test_only_finished_trials_can_be_chosen():
    rows = [
        row(1, 0, 3.0),
        row(2, 0, 9.0, "silent"),
        row(3, 0, 8.0, "stopped"),
        row(4, 0, math.nan),
        row(5, 0, 4.0),
    ]
    assert choose(rows, "db")["point"]["beta"] == 5
    with pytest.raises(RuntimeError, match="silent, stopped"):
        choose(rows[1:3], "db")


def test_the_deviation_is_that_of_seeds_alone():
    """The spread over the other axis is averaged away within each seed."""
    rows = [row(b, s, 10 * b + d + s, depth=d) for b in (0, 1) for d in (100, 300) for s in (0, 1, 2)]
    table = dependence(rows, ["db"])
    assert [(r["axis"], r["value"], r["seeds"], r["trials"]) for r in table] == [
        ("beta", 0, 3, 6), ("beta", 1, 3, 6), ("depth", 100, 3, 6), ("depth", 300, 3, 6),
    ]  # fmt: skip
    assert [r["mean"]["db"] for r in table] == [201, 211, 106, 306]
    assert all(r["deviation"]["db"] == 1 for r in table)


def test_trials_that_do_not_count_are_left_out_and_single_seeds_have_no_deviation():
    rows = [row([0.3], 0, 1.0), row([0.3], 1, 100.0, "silent"), row([1.0], 0, 2.0, "failed")]
    first, second = dependence(rows, ["db"])
    assert (first["value"], first["trials"], first["mean"], first["deviation"]) == (
        [0.3], 1, {"db": 1.0}, {"db": None},
    )  # fmt: skip
    assert (second["trials"], second["mean"]) == (0, {"db": None})
    assert dependence([], ["db"]) == []
