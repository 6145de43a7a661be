"""Threads work beside the caller's, or not: items are made ahead of their consumer, by crews of any size."""

import contextlib
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, TypeVar

X = TypeVar("X")


@contextlib.contextmanager
def ahead(items: Iterable[X], size: int = 4) -> Iterator[Iterator[X]]:
    """Yields the same items, of which a thread makes up to ``size`` while the consumer is busy.

    An error surfaces where its item would have. No thread is left when the block ends, and a generator is
    closed: left to the garbage collector it would end in any thread at any moment, and might wait there for
    ever.
    """
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


def crew(threads: int) -> Executor:
    """Returns an executor of ``threads`` threads; at 0 it does at once, in the caller's thread, what it is
    given.

    Threads pay where one waits: for a GPU, a disk, a network. Where all threads compute on one core they only
    take each other's caches.
    """
    return ThreadPoolExecutor(threads) if threads else _Here()


class _Here(Executor):
    def submit(self, call: Any, /, *args: Any, **kwargs: Any) -> Future:
        """Returns what the call returned or raised, as a future that is done."""
        future: Future = Future()
        try:
            future.set_result(call(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future
