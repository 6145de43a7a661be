"""A process beside each training worker draws its batches, and leaves the worker its core for the steps.

In a thread of the worker, streams, decoding and effects would hold up its interpreter.
"""

import functools
import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import ray
import ray.train
import ray.train.torch
import torch
from ray.exceptions import RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from torch import Tensor

from vsep_ray.batches.windows import Block, Window
from vsep_ray.cluster.train.task import Launch, StreamSpec, Task
from vsep_ray.parallel import collectives
from vsep_ray.parallel.prefetch import ahead
from vsep_ray.training import step_seed

AHEAD = 3
"""This number of batches is drawn, or waits, while the worker takes a step."""


class Drawer:
    """A drawer holds a worker's windows and draws the batches of its steps.

    Where every worker holds all crops, each draws the whole batch and takes its part.

    Args:
        task: what is trained.
        launch: how much memory there is for crops.
        shards: the worker's share of each stream, by name.
        part: the items of a whole batch that the worker has.
        count: the number of workers.
    """

    def __init__(
        self, task: Task, launch: Launch, shards: Mapping[str, Any], part: slice, count: int
    ) -> None:
        logging.getLogger("ray.data").setLevel(logging.WARNING)  # it reports every pass over every stream
        self.task, self.launch, self.shards = task, launch, shards
        self.divided = bool(launch.splits(task))
        size = task.fit.batch_size
        # of a divided stream all take equally many rows, or they wait for each other at the end of a pass
        self.num = -(-size // count) if self.divided else size
        self.first = part.start if self.divided else 0
        self.mine = slice(0, part.stop - part.start) if self.divided else part

    def draw(self, step: int) -> dict[str, np.ndarray]:
        """Returns the batch of a step; steps must come one after the other.

        Raises:
            UserError: the streams have no crops, or of too few songs.
        """
        rng = np.random.default_rng(step_seed(self.task.fit.seed, step, self.first))
        return {k: v[self.mine].numpy() for k, v in self.task.batch(self.windows, rng, self.num).items()}

    @functools.cached_property
    def windows(self) -> dict[str, Window]:
        """The windows of all streams, which are filled side by side."""
        streams = self.task.streams()
        with ThreadPoolExecutor(len(streams)) as crew:
            return dict(zip(streams, crew.map(self._window, streams, streams.values()), strict=True))

    def _window(self, name: str, spec: StreamSpec) -> Window:
        capacity = self.launch.capacity(spec, len(self.shards))
        return Window(
            _passes(self.shards[name]), capacity, self.task.length, spec.channels, spec.store.weights
        )


def _passes(shard: Any) -> Callable[[], Iterator[Block]]:
    # blocks as they come, at most a row group each: larger batches would hold much beside the window
    return lambda: shard.iter_batches(batch_size=None, batch_format="numpy")


def batches(task: Task, launch: Launch, first: int) -> Iterator[dict[str, Tensor]]:
    """Yields the batches of a training worker's steps, on its device, from step ``first`` on.

    Raises:
        UserError: see `Drawer.draw`.
    """
    shards = {name: ray.train.get_dataset_shard(name) for name in task.streams()}
    part, count = collectives.part(task.fit.batch_size), collectives.count()
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    drawer = ray.remote(Drawer).options(num_cpus=0, scheduling_strategy=here)
    drawn = _in_order(drawer.remote(task, launch, shards, part, count), first)
    device = ray.train.torch.get_device()
    with ahead(map(functools.partial(_tensors, pinned=device.type == "cuda"), drawn), 1) as found:
        for batch in found:
            yield {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}


def _in_order(drawer: Any, first: int) -> Iterator[Any]:
    """Yields references to the batches of all steps, of which some are asked for ahead."""
    steps = itertools.count(first)
    asked = deque(drawer.draw.remote(step) for step in itertools.islice(steps, AHEAD))
    while True:
        yield asked.popleft()
        asked.append(drawer.draw.remote(next(steps)))


def _tensors(reference: Any, pinned: bool) -> dict[str, Tensor]:
    """Returns a batch; from page-locked memory a GPU copies beside its work."""
    try:
        batch = ray.get(reference)
    except RayTaskError as error:
        raise error.cause from error  # a user's mistake in its own words
    tensors = {name: torch.tensor(array) for name, array in batch.items()}
    return {name: tensor.pin_memory() for name, tensor in tensors.items()} if pinned else tensors
