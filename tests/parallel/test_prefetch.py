"""Items made ahead: in order, beside the consumer, errors in their place."""

import threading
import time

import pytest

from vsep_ray.parallel.prefetch import ahead, crew


def test_the_producer_overlaps_with_its_consumer():
    def slow():
        for i in range(10):
            time.sleep(0.02)
            yield i

    start = time.perf_counter()
    with ahead(slow()) as items:
        for _ in items:
            time.sleep(0.02)
    assert time.perf_counter() - start < 0.35  # one after the other would take 0.4 s


def test_items_come_in_order_and_no_more_are_made_than_may_wait():
    made = []

    def make():
        for i in range(6):
            made.append(i)
            yield i

    with ahead(make(), 2) as items:
        assert [next(items), next(items)] == [0, 1]
        deadline = time.monotonic() + 5
        while len(made) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert made == [0, 1, 2, 3]
        assert list(items) == [2, 3, 4, 5]


def test_an_error_on_the_way_reaches_the_consumer_and_no_thread_stays():
    def make():
        yield 0
        raise ValueError("two stems of one song")

    before = threading.active_count()
    with pytest.raises(ValueError, match="two stems"), ahead(make()) as items:
        assert next(items) == 0
        next(items)
    assert threading.active_count() == before


def test_a_generator_is_closed_with_the_block_by_the_thread_that_leaves_it():
    closed = []

    def numbers():
        try:
            yield from range(100)
        finally:
            closed.append(threading.get_ident())

    source = numbers()
    with ahead(source) as items:
        assert next(items) == 0
    assert closed == [threading.get_ident()]


@pytest.mark.parametrize("threads", [0, 2])
def test_a_crew_of_any_size_gives_results_and_errors(threads):
    with crew(threads) as workers:
        found = workers.submit(threading.get_ident).result()
        assert (found == threading.get_ident()) == (threads == 0)
        assert list(workers.map(divmod, [7, 8], [2, 3])) == [(3, 1), (2, 2)]
        with pytest.raises(ZeroDivisionError):
            workers.submit(divmod, 1, 0).result()
