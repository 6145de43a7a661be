"""What a training run is: the streams it reads, the task, where and how it is launched."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
import ray.data
from torch import Tensor

from vsep_ray.cluster.runtime.tracked_run import git_revision
from vsep_ray.cluster.train.streams import crop_dataset, paired_dataset
from vsep_ray.crops.batches import Window
from vsep_ray.crops.store import CropStore
from vsep_ray.objectives import Objective
from vsep_ray.presets import ResourcesConfig, TrainPriorsConfig, TrainSeparatorConfig
from vsep_ray.priors import Prior
from vsep_ray.separators import Separator
from vsep_ray.tracking import Tracker
from vsep_ray.training import FitConfig

Training = TrainPriorsConfig | TrainSeparatorConfig
PAIRED = "*"
"""Stream name of aligned crops of all sources."""


@dataclass(frozen=True)
class StreamSpec:
    """Crops of one source (or `PAIRED`) in one split of a store."""

    store: CropStore
    split: str
    source: str

    def dataset(self, seed: int) -> ray.data.Dataset:
        """The lazy Ray data set of these crops; the seed decides about the order of every pass."""
        if self.source == PAIRED:
            return paired_dataset(self.store, self.split, seed)
        return crop_dataset(self.store, self.split, self.source, seed)

    @property
    def channels(self) -> int:
        """Channels of one row: K C where sources are aligned."""
        return self.store.channels * (len(self.store.sources) if self.source == PAIRED else 1)

    @property
    def rows(self) -> int:
        """Crops in all splits of the source, which bounds those of this stream."""
        return self.store.statistics[self.store.sources[0] if self.source == PAIRED else self.source].crops

    @property
    def row_bytes(self) -> int:
        """Bytes of one row in memory: 16-bit samples."""
        return 2 * self.channels * self.store.length


M = TypeVar("M", Prior, Separator)


@dataclass(frozen=True)
class Task(ABC, Generic[M]):
    """What one run trains: a model of kind M, a prior or a separator.

    To add one: a frozen dataclass that can be sent to workers, with the four methods below.
    """

    fit: FitConfig
    length: int
    """Samples per training crop; 0: all of a stored one."""

    @abstractmethod
    def streams(self) -> dict[str, StreamSpec]:
        """The streams that the workers read, by name."""

    @abstractmethod
    def build(self) -> tuple[Objective, M]:
        """The objective and the module in it that is trained; called on every worker under the same seed."""

    @abstractmethod
    def batch(self, windows: Mapping[str, Window], rng: np.random.Generator, num: int) -> dict[str, Tensor]:
        """One batch of ``num`` items; all randomness comes from ``rng``."""

    @abstractmethod
    def validate(self, module: M, tracker: Tracker, step: int) -> dict[str, float]:
        """Scalars of held-out crops, on rank 0, with the averaged weights; figures and audio go to the
        tracker."""


@dataclass(frozen=True)
class Launch:
    """Where and how a task runs."""

    name: str
    storage: str
    tracking_uri: str
    run_id: str
    resources: ResourcesConfig
    num_workers: int
    provenance: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Training, name: str, run_id: str, num_workers: int, **provenance: Any) -> "Launch":
        """From a job's config; the provenance says by which run and git revision."""
        origin = {"run_id": run_id, "git": git_revision(), **provenance}
        return cls(name, config.storage, config.tracking_uri, run_id, config.resources, num_workers, origin)

    @property
    def workers(self) -> Any:
        """As Ray Train takes it: a number, or the fewest and the most."""
        fewest = self.resources.min_workers
        return (fewest, self.num_workers) if 0 < fewest < self.num_workers else self.num_workers

    def capacity(self, spec: StreamSpec, streams: int) -> int:
        """Rows of a stream that a worker may hold, if ``streams`` of them share its memory."""
        return max(1, (self.resources.cache_mib << 20) // (spec.row_bytes * streams))

    def splits(self, task: "Task") -> list[str]:
        """The streams that are divided among the workers: those that do not fit into the memory of each.

        The others are read whole by every worker, which makes the draws independent of the number of workers
        and keeps rare songs within everybody's reach.
        """
        streams = task.streams()
        return [name for name, spec in streams.items() if spec.rows > self.capacity(spec, len(streams))]
