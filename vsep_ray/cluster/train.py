"""One Ray Train run: a task says what is trained, `train` runs it on any number of workers, resumably."""

import copy
import dataclasses
import json
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import ray
import ray.data
import ray.train
import ray.train.torch
import torch
from torch import Tensor

from vsep_ray import checkpoint
from vsep_ray.alarms import alarms
from vsep_ray.cluster.data import crop_dataset, paired_dataset
from vsep_ray.cluster.runs import spool
from vsep_ray.config import UserError, fingerprint, to_dict
from vsep_ray.data import storage
from vsep_ray.data.batches import Window
from vsep_ray.data.crops import CropStore
from vsep_ray.objectives import Objective
from vsep_ray.presets import JobConfig, ResourcesConfig
from vsep_ray.priors import Prior
from vsep_ray.separators import Separator
from vsep_ray.tracking import Tracker
from vsep_ray.training import FitConfig, FitState, fit, step_seed

PAIRED = "*"
"""Stream name of aligned crops of all sources."""


@dataclass(frozen=True)
class StreamSpec:
    """Crops of one source (or `PAIRED`) in one split of a store."""

    store: CropStore
    split: str
    source: str

    def dataset(self) -> ray.data.Dataset:
        """The lazy Ray data set of these crops."""
        if self.source == PAIRED:
            return paired_dataset(self.store, self.split)
        return crop_dataset(self.store, self.split, self.source)

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


@dataclass(frozen=True)
class Task(ABC):
    """What one run trains. To add one: a frozen dataclass that can be sent to workers, with the four
    methods below."""

    fit: FitConfig
    length: int
    """Samples per training crop; 0: all of a stored one."""

    @abstractmethod
    def streams(self) -> dict[str, StreamSpec]:
        """The streams that the workers read, by name."""

    @abstractmethod
    def build(self) -> tuple[Objective, Prior | Separator]:
        """The objective and the module in it that is trained; called on every worker under the same seed."""

    @abstractmethod
    def batch(self, windows: Mapping[str, Window], rng: np.random.Generator, num: int) -> dict[str, Tensor]:
        """One batch of ``num`` items; all randomness comes from ``rng``."""

    @abstractmethod
    def validate(self, module: Prior | Separator, tracker: Tracker, step: int) -> dict[str, float]:
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

    def capacity(self, spec: StreamSpec, streams: int) -> int:
        """Rows of a stream that a worker may hold, if ``streams`` of them share its memory."""
        return max(1, (self.resources.cache_mib << 20) // (spec.row_bytes * streams))

    def splits(self, task: "Task") -> list[str]:
        """The streams that are divided among the workers: those that do not fit into the memory of each.
        The others are read whole
        by every worker, which makes the draws independent of the number of workers and keeps rare songs
        within everybody's reach."""
        streams = task.streams()
        return [name for name, spec in streams.items() if spec.rows > self.capacity(spec, len(streams))]


def train(task: Task, launch: Launch, target: str, callbacks: Sequence[Any] = ()) -> dict[str, float]:
    """Run the task to its last step, going on from the last checkpoint of the same name, and publish the
    model at ``target``; where an earlier run has done so, nothing is left to do.

    Args:
        task: what to train.
        launch: where and how.
        target: folder for the finished model.
        callbacks: of Ray Train, such as the one that reports to a sweep.

    Returns:
        The scalars of the last validation.
    """
    if done := _finished(task, launch, target):
        return done
    ray.data.DataContext.get_current().enable_progress_bars = False
    gpu = bool(ray.cluster_resources().get("GPU"))
    resources = {"CPU": launch.resources.cpus_per_worker} | ({"GPU": 1} if gpu else {})
    loop: Any = _worker  # Ray's annotation knows no return value, its Result has one
    result: Any = ray.train.torch.TorchTrainer(
        loop,
        train_loop_config={"task": task, "launch": launch},
        datasets={name: spec.dataset() for name, spec in task.streams().items()},
        dataset_config=ray.train.DataConfig(datasets_to_split=launch.splits(task)),
        scaling_config=ray.train.ScalingConfig(
            num_workers=launch.num_workers, use_gpu=gpu, resources_per_worker=resources
        ),
        run_config=ray.train.RunConfig(
            name=launch.name,
            storage_path=storage.join(launch.storage, "runs"),
            callbacks=list(callbacks),
            failure_config=ray.train.FailureConfig(max_failures=launch.resources.max_failures),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=2),
        ),
    ).fit()
    if isinstance(result.return_value, str):
        raise UserError(result.return_value)
    if result.error or result.checkpoint is None:
        raise RuntimeError(f"training {launch.name} ended without a checkpoint: {result.error}")
    _publish(result.checkpoint, target)
    return {k: v for k, v in (result.metrics or {}).items() if isinstance(v, (int, float))}


def _finished(task: Task, launch: Launch, target: str) -> dict[str, float]:
    """The last validation of a model that an earlier run of this name published at its last step, else {}."""
    record = storage.join(target, "provenance.json")
    run = storage.join(launch.storage, "runs", launch.name)  # gone where a fresh start was asked for
    if not storage.exists(run) or not storage.exists(record):
        return {}
    provenance = json.loads(storage.read_bytes(record))
    if provenance["step"] < task.fit.steps or "validation" not in provenance:
        return {}
    return {"step": provenance["step"], **provenance["validation"]}


def run_name(job: str, config: JobConfig, *inputs: Any) -> str:
    """Job and hash of all that decides the result except the step budget: the same command resumes, a
    changed one starts afresh.

    Args:
        job: first part of the name.
        config: the job's config; where things lie and how many workers there are does not count.
        inputs: fingerprints of the data and models that go in.
    """
    values = to_dict(config)
    for name in (
        "preset",
        "storage",
        "tracking_uri",
        "experiment",
        "parent_run",
        "dry_run",
        "fresh",
        "crops",
        "resources",
        "force",
    ):
        values.pop(name, None)
    return f"{job}-{fingerprint([_what_counts(values), *inputs])}"


def _what_counts(values: Any) -> Any:
    """Values without step budgets and without the paths of models, whose weights are among the inputs."""
    if not isinstance(values, dict):
        return values
    left_out = {"steps", "log_every", "checkpoint_every"} if values.get("type") == "FitConfig" else set()
    left_out |= {k for k in ("priors", "start") if isinstance(values.get(k), str)}
    return {k: _what_counts(v) for k, v in values.items() if k not in left_out}


def forget(storage_uri: str, name: str) -> None:
    """Remove the state of runs whose name begins with ``name``, so that they start afresh."""
    for folder in Path(storage_uri, "runs").glob(f"{name}*"):
        shutil.rmtree(folder)


def _worker(config: dict[str, Any]) -> str | None:
    """The loop on each worker; returns the words of a user's mistake, which no retry would mend."""
    task, launch = config["task"], config["launch"]
    try:
        _fit(task, launch)
    except UserError as error:
        if launch.splits(
            task
        ):  # only this worker's shard may be at fault, and the others wait for its gradients
            raise
        return str(error)
    return None


def _fit(task: Task, launch: Launch) -> None:
    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    torch.manual_seed(task.fit.seed)
    objective, module = task.build()
    objective.to(ray.train.torch.get_device())
    state = FitState.create(module, task.fit)
    if previous := ray.train.get_checkpoint():
        with previous.as_directory() as folder:
            checkpoint.load_training(folder, state)
    wrapped = ray.train.torch.prepare_model(objective, parallel_strategy="ddp" if world > 1 else None)
    tracker = (
        Tracker.attach(launch.tracking_uri, run_id=launch.run_id, spool=spool(launch.storage))
        if rank == 0
        else None
    )
    reporter = Reporter(task, launch, tracker)
    fit(
        wrapped, _batches(task, launch, state, rank, world), task.fit, state=state, rank=rank, report=reporter
    )
    if tracker:
        tracker.finish()


def _batches(
    task: Task, launch: Launch, state: FitState, rank: int, world: int
) -> Iterator[dict[str, Tensor]]:
    """The batch of each step. Where every worker holds all crops, each draws the whole batch and takes
    its part of it."""
    windows = {name: _window(name, spec, task, launch) for name, spec in task.streams().items()}
    device = ray.train.torch.get_device()
    divided = bool(launch.splits(task))
    num = task.fit.batch_size // world
    if num * world != task.fit.batch_size:
        raise UserError(f"--fit.batch-size {task.fit.batch_size} cannot be divided among {world} workers")
    part = slice(None) if divided else slice(rank * num, (rank + 1) * num)
    while True:
        rng = np.random.default_rng(step_seed(task.fit.seed, state.step, rank if divided else 0))
        batch = task.batch(windows, rng, num if divided else task.fit.batch_size)
        yield {k: v[part].to(device, non_blocking=True) for k, v in batch.items()}


def _window(name: str, spec: StreamSpec, task: Task, launch: Launch) -> Window:
    shard = ray.train.get_dataset_shard(name)
    capacity = launch.capacity(spec, len(task.streams()))
    return Window(
        lambda: shard.iter_batches(batch_size=256, batch_format="numpy"), capacity, task.length, spec.channels
    )


class Reporter:
    """What happens every ``log_every`` steps: curves and alarms, and every ``checkpoint_every``
    validation and a checkpoint."""

    def __init__(self, task: Task, launch: Launch, tracker: Tracker | None) -> None:
        self.task, self.launch, self.tracker = task, launch, tracker
        self.saved = 0

    def __call__(self, state: FitState, metrics: dict[str, float]) -> bool:
        """Log, and save where it is time; never asks to stop."""
        if self.tracker:
            self.tracker.metrics({f"train/{k}": v for k, v in metrics.items()}, state.step)
            for sentence in alarms(metrics):
                print(f"ALARM at step {state.step} of {self.launch.name}: {sentence}", flush=True)
        due = state.step - self.saved >= self.task.fit.checkpoint_every
        if due or state.step >= self.task.fit.steps:
            self.saved = state.step
            speed = {k: metrics[k] for k in ("steps_per_second", "data_wait")}
            self._save(state, speed | {"train_seconds": state.seconds})
        return False

    def _save(self, state: FitState, speed: dict[str, float]) -> None:
        if not self.tracker:
            ray.train.report({"step": state.step})
            return
        module = copy.deepcopy(state.module).eval()
        module.load_state_dict(state.averaged())
        metrics = self.task.validate(module, self.tracker, state.step)  # type: ignore[arg-type]
        self.tracker.metrics({f"valid/{k}": v for k, v in metrics.items()}, state.step)
        print(f"{self.launch.name} step {state.step}: {_line(metrics)}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            provenance = {**self.launch.provenance, "step": state.step, "validation": {**metrics, **speed}}
            checkpoint.save(folder, state.module, provenance, state)  # type: ignore[arg-type]
            ray.train.report(
                {"step": state.step, **metrics, **speed},
                checkpoint=ray.train.Checkpoint.from_directory(folder),
            )


def _publish(source: ray.train.Checkpoint, target: str) -> None:
    with source.as_directory() as folder:
        for name in ("config.json", "model.safetensors", "provenance.json"):  # the last one says: complete
            storage.upload(Path(folder, name), storage.join(target, name))


def _line(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{k} {v:.4g}" for k, v in metrics.items())


def default_workers(resources: ResourcesConfig, *, side_by_side: bool) -> int:
    """How many workers one run takes; ``side_by_side``: runs that share the cluster take one each."""
    if resources.num_workers or side_by_side:
        return resources.num_workers or 1
    total = ray.cluster_resources()
    return int(total.get("GPU", 0)) or min(2, int(total.get("CPU", 1)))


def with_format(config: Any, store: CropStore) -> Any:
    """A separator config whose empty fields are those of the crop store."""
    defaults = {name: getattr(store, name) for name in ("sources", "sample_rate", "channels", "scales")}
    return dataclasses.replace(config, **{k: v for k, v in defaults.items() if not getattr(config, k)})
