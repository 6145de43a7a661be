"""What train_priors.py, train_separator.py and tune.py share."""

from dataclasses import dataclass, field
from typing import Literal

from vsep_ray.batches.augment import AugmentConfig
from vsep_ray.config import option
from vsep_ray.presets.job import Device, JobConfig
from vsep_ray.training import FitConfig


@dataclass(frozen=True)
class ResourcesConfig:
    """A training run takes this from the cluster; it changes neither what is learned, nor the run's name."""

    num_workers: int = option(0, least=0)
    """The run has this number of data-parallel workers. At 0 a separator takes all GPUs, or all CPUs where
    there is none as long as each has 8 items of a batch, and a prior takes one. A cluster that grows on
    demand grows to the number."""
    min_workers: int = option(0, least=0)
    """The run goes on with at least this number of workers while nodes are lost or not there yet. The workers
    that there are divide the batch. At 0 it waits for all."""
    device: Device = "auto"
    """The run trains here; auto means GPUs if the cluster has any now. Say gpu where they come on demand."""
    cpus_per_worker: float = option(1.0, above=0.0)
    """Each worker takes this number of logical CPUs, reading beside it included."""
    cache_mib: int = option(1_024, least=1)
    """Each worker has this memory (MiB) for resident crops; a larger shard streams through it."""
    max_failures: int = option(3, least=0)
    """A run survives this number of worker failures, and goes on from the last checkpoint each time."""


JOINING = ("crops", "crop_weights", "duplicates")
"""These fields say which crops a job trains on."""


@dataclass(frozen=True)
class CropsJobConfig(JobConfig):
    """A job that trains on the crops of a store has these fields."""

    crops: tuple[str, ...] = option((), role="input")
    """The crops are those of this store, or of several, which are joined. Default: the latest in the storage;
    with presets toy and smoke it is made if there is none."""
    crop_weights: tuple[float, ...] = option((), role="manner", above=0.0)
    """Clips of a source are drawn from the stores that have it in these proportions, one number per store.
    Default: as many from each as it has, as if all lay in one."""
    duplicates: Literal["refuse", "drop"] = option("refuse", role="manner")
    """A song that one store trains on and another one holds out (valid, test) stops the job, or is dropped
    from the training."""
    resources: ResourcesConfig = option(default_factory=ResourcesConfig, role="resource")

    def idle(self) -> dict[str, str]:
        """Returns what acts only where several stores are joined, whose name then tells of it."""
        why = "one crop store is read as it is; name several by --crops, or leave it out"
        return dict.fromkeys(("crop_weights", "duplicates"), why) if len(self.crops) < 2 else {}


@dataclass(frozen=True)
class TrainingConfig(CropsJobConfig):
    """A job that trains one kind of model has these fields."""

    augment: AugmentConfig = field(default_factory=AugmentConfig)
    length: int = option(0, least=0)
    """Training crops have this number of samples, cut at random from the stored ones; 0 takes all of a
    crop."""


SMOKE_FIT = FitConfig(steps=60, batch_size=16, log_every=20, checkpoint_every=30)
