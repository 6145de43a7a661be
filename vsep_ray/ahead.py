"""Iterating in a background thread, ahead of the consumer."""

import contextlib
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

X = TypeVar("X")


@contextlib.contextmanager
def ahead(items: Iterable[X], size: int = 4) -> Iterator[Iterator[X]]:
    """The same items, up to ``size`` of them made while the consumer is busy; an error surfaces where its
    item would have. No thread is left when the block ends, and a generator is closed: left to the garbage
    collector it would end in any thread at any moment, and might wait there for ever."""
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(1) as worker:
        pending = deque(worker.submit(next, iterator, end) for _ in range(size))

        def consume() -> Iterator[X]:
            while (item := pending.popleft().result()) is not end:
                pending.append(worker.submit(next, iterator, end))
                yield item  # type: ignore[misc]

        try:
            yield consume()
        finally:
            worker.shutdown(cancel_futures=True)
            if isinstance(iterator, Generator):
                iterator.close()
