"""fit(): the one training loop. It knows neither Ray nor MLflow: they see it through ``report``."""

import contextlib
import functools
import zlib
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import get_ema_multi_avg_fn

from vsep_ray.config import option
from vsep_ray.meter import Meter
from vsep_ray.nn.precision import Precision, computing
from vsep_ray.parallel import collectives, random
from vsep_ray.schedules import warmup_cosine, warmup_decay

Report = Callable[["FitState", dict[str, float]], None]


@dataclass(frozen=True)
class FitConfig:
    """The settings of the optimiser, the same for priors and separators."""

    steps: int = option(2_000, role="budget", least=1)
    """Training takes this number of optimiser steps."""
    batch_size: int = option(32, least=1)
    """Each step sees this number of items, over all workers together."""
    learning_rate: float = option(1e-3, above=0.0)
    """The learning rate of Adam rises to this peak."""
    warmup: int = option(50, least=0)
    """The learning rate rises linearly over this number of steps."""
    decay: int = option(0, role="budget", least=0)
    """The learning rate falls to nothing over the last steps, this number of them, and is constant before, so
    that one may go on from before and decay later; at 0 it falls by a cosine from the beginning."""
    clip: float = option(1.0, above=0.0)
    """A gradient whose norm is larger than this is scaled down to it."""
    ema: float = option(0.995, least=0.0, most=1.0)
    """The moving average of the weights, which is saved and evaluated, keeps this share of its value at each
    step; 0 averages nothing."""
    slow_ema: float = option(0.0, later=True, least=0.0, most=1.0)
    """A second average keeps this share. Where a validation can compare the two, the better one is saved and
    published; 0: there is no second."""
    micro_batch: int = option(0, role="resource", least=0)
    """A worker computes this number of items at a time, and takes a step by the sum of their gradients: less
    memory, and on a CPU, whose caches then suffice, more speed. At 0 all at once."""
    log_every: int = option(50, role="budget", least=1)
    """Scalars are averaged over this number of steps and reported."""
    checkpoint_every: int = option(500, role="budget", least=1)
    """A checkpoint and a validation follow after this number of steps; a killed run loses no more."""
    seed: int = 0
    """Initial weights, order of the data and noise are drawn from this seed."""
    precision: Precision = option("auto", later=True)
    """Networks multiply in float32 or bf16 (weights, losses and sums stay float32); auto means bf16 where the
    hardware has it."""

    def factor(self, step: int) -> float:
        """Returns what the learning rate is multiplied by at a step."""
        if self.decay:
            return warmup_decay(step, self.steps, self.warmup, self.decay)
        return warmup_cosine(step, self.steps, self.warmup)


@dataclass
class FitState:
    """All that a run needs to go on: model (inside the objective), optimiser, moving average, step.

    Attributes:
        step: optimiser steps taken.
        module: the trained module (bare, not wrapped by DDP).
        optimizer: Adam with its moments.
        average, slow: the moving averages of the module's parameters, by name; empty without.
        memory: a module that the objective keeps beside the trained one, such as a teacher.
        skipped: updates skipped because a gradient was not finite.
        seconds: time spent in `fit`, all its calls together.
    """

    module: nn.Module
    optimizer: torch.optim.Optimizer
    average: dict[str, Tensor] = field(default_factory=dict)
    slow: dict[str, Tensor] = field(default_factory=dict)
    memory: nn.Module | None = None
    step: int = 0
    skipped: int = 0
    seconds: float = 0.0

    @classmethod
    def create(cls, module: nn.Module, config: FitConfig, memory: nn.Module | None = None) -> "FitState":
        """Returns a fresh state for the trainable parameters of ``module``."""
        trainable = [p for p in module.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(trainable, lr=config.learning_rate, betas=(0.9, 0.99), fused=True)
        average, slow = (
            {n: p.detach().clone() for n, p in module.named_parameters()} if decay else {}
            for decay in (config.ema, config.slow_ema)
        )
        return cls(module, optimizer, average, slow, memory)

    def averaged(self) -> list[dict[str, Tensor]]:
        """Returns the module's state dict with a moving average in place of the parameters, one for each
        average that there is; the parameters themselves where there is none."""
        averages = [self.average, *([self.slow] if self.slow else [])]
        return [{**self.module.state_dict(), **average} for average in averages]


def step_seed(seed: int, step: int, rank: int = 0) -> int:
    """Returns the seed of one step's random draws on one worker, so that a resumed run draws what an
    undisturbed one does.
    """
    return (seed * 1_000_003 + step) * 1_009 + rank


def item_seed(seed: int, step: int, item: int) -> int:
    """Returns the seed of what one item of a step's whole batch draws, whichever worker has it."""
    return zlib.crc32(f"{seed} {step} {item}".encode())


def fit(
    objective: nn.Module,
    batches: Iterable[dict[str, Tensor]],
    config: FitConfig,
    *,
    state: FitState,
    part: slice | None = None,
    report: Report | None = None,
) -> FitState:
    """Minimises ``objective(batch, step)["loss"]`` by Adam for ``config.steps``.

    Args:
        objective: an `Objective`, or DDP around one; its parameters include those of ``state.module``.
        batches: any iterable of batches, one per step; it must start at ``state.step``.
        config: steps, learning rate and so on.
        state: where to start; it is changed in place and returned.
        part: the items of every whole batch that this worker's batches are; None: all.
        report: called every ``log_every`` steps and at the end with averaged scalars, among them
            ``data_wait`` (share of the time spent waiting for data) and ``steps_per_second``.

    Items draw from streams of their own (`parallel.random`), keyed by seed, step and place in the whole
    batch; gradients and reported scalars are means over the items of all workers. So where workers draw the
    same batches, neither their number nor ``micro_batch`` changes anything but rounding; exceptions are what
    looks at a whole batch (a VQ-VAE's restarts, the first scales of some flows) and scalars that are no means
    over items (``perplexity``, ``snr_db``, ``relative_std``).

    A step whose gradient is not finite is skipped on all workers (DDP has averaged the gradients), counted in
    ``skipped_updates``, and left out of the averages.
    """
    objective.train()
    assert part or collectives.count() == 1, "several workers, and no word of which part each has"
    part, meter, source = part or slice(0, config.batch_size), Meter(), iter(batches)
    device = next(state.module.parameters()).device
    with computing(config.precision, device):
        while state.step < config.steps:
            batch = meter.waiting(lambda: next(source, None))
            if batch is None:
                raise ValueError(f"the batches ended at step {state.step} of {config.steps}; repeat them")
            if metrics := _step(objective, batch, config, state, part):
                meter.add(metrics)
            if state.step % config.log_every == 0 or state.step == config.steps:
                scalars = meter.drain() | {"skipped_updates": float(state.skipped)}
                state.seconds += scalars.pop("seconds")
                if report is not None:
                    report(state, scalars)
    return state


def _step(
    objective: nn.Module, batch: dict[str, Tensor], config: FitConfig, state: FitState, part: slice
) -> dict[str, Tensor]:
    """Takes one step and returns its scalars; nothing where the gradient is not finite."""
    torch.manual_seed(step_seed(config.seed, state.step, part.start))
    state.optimizer.zero_grad(set_to_none=True)
    metrics: dict[str, Tensor] = {}
    size = config.micro_batch or part.stop - part.start
    for start in range(part.start, part.stop, size):
        piece = slice(start, min(start + size, part.stop))
        mine = slice(piece.start - part.start, piece.stop - part.start)
        with _synchronised(objective, piece.stop == part.stop):
            found = _gradients(objective, {k: v[mine] for k, v in batch.items()}, config, state.step, piece)
        metrics = {name: metrics.get(name, 0) + value for name, value in found.items()}
    trained = [p for group in state.optimizer.param_groups for p in group["params"]]
    norm = nn.utils.clip_grad_norm_(trained, config.clip)
    is_finite = bool(torch.isfinite(norm))
    if is_finite:
        _update(state, config)
    state.skipped += not is_finite
    state.step += 1
    return metrics | {"grad_norm": norm} if is_finite else {}


def _gradients(
    objective: nn.Module, batch: dict[str, Tensor], config: FitConfig, step: int, part: slice
) -> dict[str, Tensor]:
    """Adds what some items of a step contribute to the gradients, and returns it of the scalars."""
    # DDP averages over workers; what counts is the mean over items
    weight = collectives.count() * (part.stop - part.start) / config.batch_size
    with random.by_item(functools.partial(item_seed, config.seed, step), part.start):
        metrics = {name: weight * value for name, value in objective(batch, step).items()}
    metrics["loss"].backward()
    return {name: value.detach() for name, value in metrics.items()}


def _synchronised(objective: nn.Module, last: bool) -> AbstractContextManager[None]:
    """Workers wait for each other's gradients once a step."""
    if last or not isinstance(objective, DistributedDataParallel):
        return contextlib.nullcontext()
    return objective.no_sync()


def _update(state: FitState, config: FitConfig) -> None:
    for group in state.optimizer.param_groups:
        group["lr"] = config.learning_rate * config.factor(state.step)
    state.optimizer.step()
    parameters = dict(state.module.named_parameters())
    for average, decay in ((state.average, config.ema), (state.slow, config.slow_ema)):
        # early on an average follows the weights closely, lest it remember their initial values
        follow = get_ema_multi_avg_fn(min(decay, (state.step + 1) / (state.step + 10)))
        if average:
            follow(list(average.values()), [parameters[n] for n in average], state.step)
