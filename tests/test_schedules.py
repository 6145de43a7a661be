import pytest

from vsep_ray.config import UserError
from vsep_ray.schedules import Schedule, warmup_cosine


def test_a_schedule_goes_from_start_to_end_and_stays_there():
    linear = Schedule(1.0, 0.0, 4)
    assert [linear(i) for i in range(6)] == [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    geometric = Schedule(1.0, 1e-4, 4, "geometric")
    assert [geometric(i) for i in (0, 2, 4, 100)] == pytest.approx([1, 1e-2, 1e-4, 1e-4])


@pytest.mark.parametrize("ends", [(0.0, 1.0), (1.0, 0.0), (-1.0, 1.0)])
def test_a_geometric_schedule_has_positive_ends(ends):
    with pytest.raises(UserError, match="positive"):
        Schedule(*ends, 10, "geometric")


def test_the_default_is_constant():
    assert {Schedule()(i) for i in (0, 1, 10)} == {1.0}


def test_warmup_rises_and_the_cosine_falls_to_one_percent():
    factors = [warmup_cosine(i, 100, 10) for i in range(101)]
    assert 0 < factors[0] < 0.1 and factors[10] == 1.0 == max(factors)
    assert factors[:11] == sorted(factors[:11]) and factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[55] == pytest.approx(0.505) and factors[100] == pytest.approx(0.01)
    assert warmup_cosine(500, 100, 10) == pytest.approx(0.01)
