"""A job stops where tracks in a row fail alike, and nowhere else."""

import pytest

from vsep_ray.audio.formats import Failure
from vsep_ray.cluster.separate.breaker import Breaker

A, B, C = (Failure("decode", f"{track} at {n}") for track, n in (("a.wav", 17), ("b.wav", 4), ("c.wav", 90)))


@pytest.mark.parametrize(
    ("failures", "limit", "stops"),
    [
        ([A, B, C], 3, True),
        ([A, B, C], 4, False),
        ([A, B, C], 0, False),
        ([A, None, C], 2, False),
        ([None, None, None], 2, False),
        ([A, Failure("decode", "other"), C], 2, False),
        ([A, Failure("read", "b.wav at 4"), C], 2, False),
    ],
)
def test_it_counts_failures_in_a_row_that_differ_in_names_and_numbers_alone(failures, limit, stops):
    breaker = Breaker(limit)
    reasons = [breaker.feed(f"{name}.wav", failure) for name, failure in zip("abc", failures, strict=True)]
    assert reasons[:2] == [None, None] and (reasons[2] is not None) == stops
    if stops:
        assert "3 tracks in a row failed alike (decode: c.wav at 90)" in reasons[2]
        assert "--max-alike 0" in reasons[2]
