"""A training run consists of the streams that it reads, its task, and where and how it is launched."""

import functools
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
import ray.data
from torch import Tensor

from vsep_ray.batches.windows import Window
from vsep_ray.cluster.runtime import capacity
from vsep_ray.cluster.runtime.ray_private import seed_of_passes
from vsep_ray.cluster.runtime.tracked_run import git_revision
from vsep_ray.crops.reading import PAIRED, read_rows
from vsep_ray.crops.store import CropStore
from vsep_ray.objectives import Objective
from vsep_ray.presets import ResourcesConfig, TrainingConfig
from vsep_ray.priors import Prior
from vsep_ray.separators import Separator
from vsep_ray.tracking import Tracker
from vsep_ray.training import FitConfig

READERS_PER_CPU = 2
"""This number of tasks reads at a time: few, since every fresh worker process first imports for seconds."""
MAX_BLOCKS = 1_000
"""A pass puts at most this number of blocks of row groups into random order."""


@dataclass(frozen=True)
class StreamSpec:
    """A stream has the crops of one source, or of `PAIRED`, in one split of a store."""

    store: CropStore
    split: str
    source: str

    def dataset(self, seed: int = 0) -> ray.data.Dataset:
        """Returns the crops as a lazy Ray data set of columns track, offset, gain, audio.

        ``audio`` stays raw bytes; ``encoding.decode(batch["audio"], batch["gain"], channels)`` makes float32
        (N, channels, T) of a batch, where sources are aligned one after the other. Every pass has the row
        groups in another order, those of one song far apart; the seed repeats them where Ray preserves the
        order of blocks.

        Not `ray.data.read_parquet`: its listing task asks for a whole CPU, and on a small machine waits for
        ever for the one that training holds.
        """
        source = self.store.sources[0] if self.source == PAIRED else self.source
        found = self.store.row_groups(self.split, source)
        seed = zlib.crc32(f"{seed} {source}".encode())  # the sources of a paired store must not go in step
        order = np.random.default_rng(seed).permutation(len(found))
        blocks = min(len(found), MAX_BLOCKS)
        items = [{"name": found[i][0], "group": found[i][1]} for i in order]
        groups = ray.data.from_items(items, override_num_blocks=blocks)
        read: Any = functools.partial(read_rows, store=self.store, split=self.split, source=self.source)
        return groups.randomize_block_order(seed=seed_of_passes(seed)).map_batches(
            read,
            batch_size=1,
            num_cpus=capacity.READ_CPUS,
            compute=ray.data.TaskPoolStrategy(min(READERS_PER_CPU * capacity.cpus(), blocks)),
        )

    @property
    def channels(self) -> int:
        """Channels of one row, K C where sources are aligned."""
        return self.store.channels * (len(self.store.sources) if self.source == PAIRED else 1)

    @property
    def rows(self) -> int:
        """Crops of the source in all splits, which bound the rows of this stream."""
        return self.store.statistics[self.store.sources[0] if self.source == PAIRED else self.source].crops

    @property
    def row_bytes(self) -> int:
        """Bytes of one row of 16-bit samples in memory."""
        return 2 * self.channels * self.store.length


M = TypeVar("M", Prior, Separator)


@dataclass(frozen=True)
class Task(ABC, Generic[M]):
    """A task is what one run trains: a model of kind M, a prior or a separator.

    To add one: write a frozen dataclass that can be sent to workers, with the four methods below.
    """

    fit: FitConfig
    length: int
    """Samples per training crop; 0 means all of a stored one."""

    @property
    def criterion(self) -> str:
        """The validation's scalar whose largest value says which checkpoint is published; "" means the
        last."""
        return ""

    @abstractmethod
    def streams(self) -> dict[str, StreamSpec]:
        """Returns the streams that the workers read, by name."""

    @abstractmethod
    def build(self) -> tuple[Objective, M]:
        """Returns the objective and the module in it that is trained; each worker calls it under one seed."""

    @abstractmethod
    def batch(self, windows: Mapping[str, Window], rng: np.random.Generator, num: int) -> dict[str, Tensor]:
        """Returns one batch of ``num`` items; all randomness comes from ``rng``."""

    @abstractmethod
    def validate(self, module: M, tracker: Tracker, step: int) -> dict[str, float]:
        """Returns scalars of held-out crops; figures and audio go to the tracker.

        Rank 0 calls it, with the averaged weights.
        """


@dataclass(frozen=True)
class Launch:
    """A launch says where and how a task runs."""

    name: str
    storage: str
    tracking_uri: str
    run_id: str
    resources: ResourcesConfig
    num_workers: int
    group: str
    """The job's trainings that are watched as one."""
    provenance: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        config: TrainingConfig,
        name: str,
        run_id: str,
        num_workers: int,
        group: str = "",
        **provenance: Any,
    ) -> "Launch":
        """Returns the launch of a job's config; the provenance says by which run and git revision it is."""
        origin = {"run_id": run_id, "git": git_revision(), **provenance}
        where = (config.storage, config.tracking_uri, run_id, config.resources)
        return cls(name, *where, num_workers, group or name, origin)

    @property
    def workers(self) -> Any:
        """The number of workers as Ray Train takes it: one number, or the fewest and the most."""
        fewest = self.resources.min_workers
        return (fewest, self.num_workers) if 0 < fewest < self.num_workers else self.num_workers

    def capacity(self, spec: StreamSpec, streams: int) -> int:
        """Returns how many rows of a stream a worker may hold, if ``streams`` streams share its memory."""
        return max(1, (self.resources.cache_mib << 20) // (spec.row_bytes * streams))

    def splits(self, task: "Task") -> list[str]:
        """Returns the streams that are divided among the workers, since each is too large for one's memory.

        Every worker reads the others whole, which makes the draws independent of the number of workers and
        keeps rare songs within everybody's reach.
        """
        streams = task.streams()
        return [name for name, spec in streams.items() if spec.rows > self.capacity(spec, len(streams))]
