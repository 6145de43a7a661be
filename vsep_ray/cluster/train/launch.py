"""`train` is one run of Ray Train: any number of workers, resumable, until the model is published."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import ray
import ray.data
import ray.train
import ray.train.torch

from vsep_ray import checkpoint, storage
from vsep_ray.cluster.runtime import capacity
from vsep_ray.cluster.runtime.ray_private import let_streams_rest
from vsep_ray.cluster.runtime.tracked_run import forget_run
from vsep_ray.cluster.train.board import Board
from vsep_ray.cluster.train.loop import work
from vsep_ray.cluster.train.task import Launch, Task
from vsep_ray.config import UserError, fingerprint, what_counts
from vsep_ray.crops.store import CropStore
from vsep_ray.presets import JobConfig, ResourcesConfig
from vsep_ray.training import FitConfig

ITEMS_OF_A_CPU = 8
"""A training worker on a CPU has at least this number of a batch's items: of fewer, the exchange of gradients
would take a large part of its time."""


def train(task: Task, launch: Launch, target: str, callbacks: Sequence[Any] = ()) -> dict[str, float]:
    """Runs the task to its last step, from the last checkpoint of the same name on, and publishes the model.

    Where an earlier run has done so, nothing is left to do.

    Args:
        task: what to train.
        launch: where and how.
        target: folder for the finished model.
        callbacks: Ray Train's callbacks, such as the one that reports to a sweep.

    Returns:
        The scalars of the validation of the published model, and ``trained_steps``, the steps of the run.

    Raises:
        UserError: a mistake of the user that a worker met.
        RuntimeError: the training ended without a checkpoint.
    """
    board = Board(launch.group, launch.name)
    if done := _finished(task, launch, target):
        board.post(int(done["trained_steps"]))
        return done
    result: Any = _trainer(task, launch, callbacks).fit()
    if isinstance(result.return_value, str):
        raise UserError(result.return_value)
    if result.error or result.checkpoint is None:
        raise RuntimeError(f"training {launch.name} ended without a checkpoint: {result.error}")
    chosen, metrics = _best(result, task.criterion)
    trained = {"trained_steps": result.metrics["step"]}
    with chosen.as_directory() as folder:
        checkpoint.publish(folder, target, **trained)
    board.post(trained["trained_steps"])
    return {k: v for k, v in metrics.items() if isinstance(v, (int, float))} | trained


def _best(result: Any, criterion: str) -> tuple[Any, dict[str, Any]]:
    """Returns the checkpoint with the best score and its scalars; the last one without a criterion."""
    if not criterion:
        return result.checkpoint, result.metrics
    return max(result.best_checkpoints, key=lambda found: found[1][criterion])


def _trainer(task: Task, launch: Launch, callbacks: Sequence[Any]) -> ray.train.torch.TorchTrainer:
    ray.data.DataContext.get_current().enable_progress_bars = False
    let_streams_rest()
    resources = capacity.of_worker(launch.resources)
    loop: Any = work  # Ray's annotation knows no return value, its Result has one
    return ray.train.torch.TorchTrainer(
        loop,
        train_loop_config={"task": task, "launch": launch},
        datasets={name: spec.dataset(task.fit.seed) for name, spec in task.streams().items()},
        dataset_config=ray.train.DataConfig(
            datasets_to_split=launch.splits(task),
            execution_options=ray.data.ExecutionOptions(preserve_order=True),  # a seed repeats a run
        ),
        scaling_config=ray.train.ScalingConfig(
            num_workers=launch.workers, use_gpu="GPU" in resources, resources_per_worker=resources
        ),
        run_config=ray.train.RunConfig(
            name=launch.name,
            storage_path=storage.join(launch.storage, "runs"),
            callbacks=list(callbacks),
            failure_config=ray.train.FailureConfig(max_failures=launch.resources.max_failures),
            # the last one is kept beside the best ones
            checkpoint_config=ray.train.CheckpointConfig(
                num_to_keep=2, checkpoint_score_attribute=task.criterion or None
            ),
        ),
    )


def train_apart(task: Task, launch: Launch, target: str) -> dict[str, float]:
    """Runs `train` in a task of its own: threads of one driver would share its signal handlers."""
    return ray.get(ray.remote(num_cpus=0)(train).remote(task, launch, target))


def _finished(task: Task, launch: Launch, target: str) -> dict[str, float]:
    """Returns the last validation of a model that an earlier run of this name published, or {}."""
    record = storage.join(target, "provenance.json")
    run = storage.join(launch.storage, "runs", launch.name)  # gone where a fresh start was asked for
    if not storage.exists(run) or not storage.exists(record):
        return {}
    provenance = json.loads(storage.read_bytes(record))
    trained = provenance.get("trained_steps", provenance["step"])
    if trained < task.fit.steps or "validation" not in provenance:
        return {}
    return {"step": provenance["step"], "trained_steps": trained, **provenance["validation"]}


def run_name(job: str, config: JobConfig, *inputs: Any) -> str:
    """Returns job and hash of all that decides the result, so that the same command resumes.

    Fields with a role (`vsep_ray.config.Role`) do not count, at any depth: where things lie, how many steps
    there are, how many workers.

    Args:
        job: first part of the name.
        config: the job's config.
        inputs: fingerprints of the data and models that go in.
    """
    return f"{job}-{fingerprint([what_counts(config), *inputs])}"


def forget(storage_uri: str, name: str) -> None:
    """Removes the state of runs whose name begins with ``name``, so that they start afresh."""
    runs = storage.join(storage_uri, "runs")
    for folder in {path.partition("/")[0] for path in storage.list_files(runs) if path.startswith(name)}:
        storage.delete_folder(storage.join(runs, folder))
    forget_run(storage_uri, name)


def default_workers(resources: ResourcesConfig, fit: FitConfig, *, side_by_side: bool) -> int:
    """Returns how many workers one run takes; runs ``side_by_side`` share the cluster and take one each.

    Raises:
        UserError: more are asked for than a batch has items.
    """
    if fit.batch_size < resources.num_workers:
        raise UserError(f"--fit.batch-size {fit.batch_size} is too small for {resources.num_workers} workers")
    if resources.num_workers or side_by_side:
        return resources.num_workers or 1
    each = 1 if capacity.gpus(resources.device) else ITEMS_OF_A_CPU
    return min(max(1, fit.batch_size // each), capacity.workers(resources))


def with_format(config: Any, store: CropStore) -> Any:
    """Returns a separator config whose empty fields are those of the crop store."""
    defaults = {name: getattr(store, name) for name in ("sources", "sample_rate", "channels", "scales")}
    return dataclasses.replace(config, **{k: v for k, v in defaults.items() if not getattr(config, k)})
