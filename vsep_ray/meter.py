"""Between two reports a training's scalars are averaged, and its time is told apart."""

import time
from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor

from vsep_ray.parallel import collectives


class Meter:
    """Averages of scalars between two reports, and where the time went."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: Counter[str] = Counter()
        self.steps, self.waited, self.since = 0, 0.0, time.perf_counter()

    def waiting(self, fetch: Callable[[], dict[str, Tensor] | None]) -> dict[str, Tensor] | None:
        """Fetches a batch and notes how long it took."""
        before = time.perf_counter()
        batch = fetch()
        self.waited += time.perf_counter() - before
        return batch

    def add(self, metrics: dict[str, Tensor]) -> None:
        """Adds one step's scalars, which stay on their device until `drain`."""
        self.steps += 1
        self.counts.update(metrics.keys())
        for name, value in metrics.items():
            self.sums[name] = self.sums.get(name, 0) + value.detach()

    def drain(self) -> dict[str, float]:
        """Returns the averages since the last call, over all workers."""
        elapsed = time.perf_counter() - self.since
        speed = {
            "seconds": elapsed,
            "steps_per_second": self.steps / elapsed,
            "data_wait": self.waited / elapsed,
        }
        means = self._means()
        self.__init__()  # type: ignore[misc]
        return means | speed

    def _means(self) -> dict[str, float]:
        if not self.sums:  # every step was skipped, by all workers alike
            return {}
        device = next(iter(self.sums.values())).device
        sums = torch.stack([v.to(device, torch.double).reshape(()) for v in self.sums.values()])
        means = collectives.averaged(sums / torch.tensor(list(self.counts.values()), device=device))
        return dict(zip(self.sums, means.tolist(), strict=True))
