"""Each training worker runs this loop: batches from its streams, `fit`, curves, checkpoints."""

import contextlib
import copy
import tempfile
from typing import Any

import ray.train
import ray.train.torch
import torch

from vsep_ray import checkpoint
from vsep_ray.cluster.runtime.tracked_run import spool
from vsep_ray.cluster.train.board import Board
from vsep_ray.cluster.train.drawing import batches
from vsep_ray.cluster.train.task import Launch, Task
from vsep_ray.config import UserError
from vsep_ray.nn.precision import resolve
from vsep_ray.objectives.alarms import alarms
from vsep_ray.parallel import collectives
from vsep_ray.tracking import Tracker, system_metrics
from vsep_ray.training import FitState, fit


def work(config: dict[str, Any]) -> str | None:
    """Runs the loop on a worker, and returns the words of a user's mistake, which no retry would mend."""
    task, launch = config["task"], config["launch"]
    try:
        _fit(task, launch)
    except UserError as error:
        # of divided streams this worker's shard alone may be at fault, and the others wait for its gradients
        if launch.splits(task):
            raise
        return str(error)
    return None


def _fit(task: Task, launch: Launch) -> None:
    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    torch.manual_seed(task.fit.seed)
    objective, module = task.build()
    objective.to(ray.train.torch.get_device())
    state = FitState.create(module, task.fit, objective.memory)
    _resume(state)
    wrapped: torch.nn.Module = objective
    if world > 1:
        # no static graph: a term of weight 0 is not computed, and weights change over the steps
        views = {"gradient_as_bucket_view": True}
        wrapped = ray.train.torch.prepare_model(objective, parallel_strategy_kwargs=views)
    tracker = (
        Tracker.attach(launch.tracking_uri, run_id=launch.run_id, spool=spool(launch.storage))
        if rank == 0
        else None
    )
    reporter = Reporter(task, launch, tracker, state.step)
    part, found = collectives.part(task.fit.batch_size), batches(task, launch, state.step)
    if tracker:
        found = reporter.board.counted(found, state.step)
    with system_metrics(tracker) if tracker else contextlib.nullcontext():
        fit(wrapped, found, task.fit, state=state, part=part, report=reporter)
    if tracker:
        tracker.finish()


def _resume(state: FitState) -> None:
    """Puts the last checkpoint of the run, if there is one, into a fresh state."""
    if previous := ray.train.get_checkpoint():
        with previous.as_directory() as folder:
            checkpoint.load_training(folder, state)


class Reporter:
    """Logs curves and alarms, and validates and saves every ``checkpoint_every`` steps."""

    def __init__(self, task: Task, launch: Launch, tracker: Tracker | None, saved: int) -> None:
        self.task, self.launch, self.tracker, self.saved = task, launch, tracker, saved
        self.board = Board(launch.group, launch.name)
        self._score = ""

    def __call__(self, state: FitState, metrics: dict[str, float]) -> None:
        """Logs, and saves where it is time."""
        if self.tracker:
            self.tracker.metrics({f"train/{k}": v for k, v in metrics.items()}, state.step)
            self.board.words = f"loss {metrics['loss']:.4g}{self._score}"
            for sentence in alarms(metrics):
                self.board.alarm(sentence, state.step)
            self.board.post(state.step)
        if state.step >= min(self.saved + self.task.fit.checkpoint_every, self.task.fit.steps):
            self.saved = state.step
            speed = {k: metrics[k] for k in ("steps_per_second", "data_wait")}
            self._save(state, speed | {"train_seconds": state.seconds})

    def _save(self, state: FitState, speed: dict[str, float]) -> None:
        if not self.tracker:
            ray.train.report({"step": state.step})
            return
        chosen, metrics = self._validated(state, self.tracker)
        self.tracker.metrics({f"valid/{k}": v for k, v in metrics.items()}, state.step)
        if self.task.criterion:
            self._score = f", held out {metrics[self.task.criterion]:.1f} dB"
        with tempfile.TemporaryDirectory() as folder:
            precision = resolve(self.task.fit.precision, next(state.module.parameters()).device)
            made = {"step": state.step, "precision": precision, "validation": {**metrics, **speed}}
            provenance = {**self.launch.provenance, **made}
            checkpoint.save(folder, state.module, provenance, state, chosen)  # type: ignore[arg-type]
            ray.train.report(
                {"step": state.step, **metrics, **speed},
                checkpoint=ray.train.Checkpoint.from_directory(folder),
            )

    def _validated(self, state: FitState, tracker: Tracker) -> tuple[int, dict[str, float]]:
        """Returns the number of the moving average that scores best, and its scalars; the first one where
        nothing compares them.
        """
        criterion, found = self.task.criterion, []
        for weights in state.averaged()[: None if criterion else 1]:
            module = copy.deepcopy(state.module).eval()
            module.load_state_dict(weights)
            found.append(self.task.validate(module, tracker, state.step))  # type: ignore[arg-type]
        chosen = max(range(len(found)), key=lambda i: found[i].get(criterion, 0.0))
        which = {"slow_ema": float(chosen)} if len(found) > 1 else {}
        return chosen, found[chosen] | which
