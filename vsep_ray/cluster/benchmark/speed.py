"""How near models come to the hardware's limit: steps of training and seconds of audio, beside the floor.

Nothing here needs Ray: ``python -m vsep_ray.cluster.benchmark.speed --device cuda`` prints the table on a
bare machine.
"""

import argparse
import functools
import itertools
import math
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from vsep_ray.chunking import CHUNK_SECONDS
from vsep_ray.inference import amortized
from vsep_ray.nn.precision import Precision, computing, multiplies_bf16
from vsep_ray.objectives import MaximumLikelihood, Objective, Sleep
from vsep_ray.presets import TRAIN_PRIORS, TRAIN_SEPARATOR, TrainPriorsConfig, TrainSeparatorConfig
from vsep_ray.separators import Separator
from vsep_ray.training import FitConfig, FitState, fit

FORMATS = {"small": (8_000, 1, 1_024), "laptop": (16_000, 1, 16_384), "music": (44_100, 2, 65_536)}
"""Sample rate (Hz), channels and training length (samples) of what a preset is made for."""
MODELS = (
    "separator small-b", "separator laptop", "separator music",
    "prior small-flow", "prior small-wavenet", "prior small-score",
)  # fmt: skip
WINDOWS = 3
"""Steps are timed in this number of windows; the median counts."""


@dataclass(frozen=True)
class Speed:
    """One model on one device, in one precision.

    Attributes:
        model: kind and preset.
        device, precision: where, and what its networks multiply in.
        compiled: whether by `torch.compile`.
        step_seconds: of one training step, and ``first_seconds``: of the first, compilation included.
        floor_seconds: of the step's products and convolutions at the pace of one large product.
        realtime_factor: seconds of audio separated per second; 0 for priors.
        peak_mib: most memory so far: of the GPU, or of this process.
    """

    model: str
    device: str
    precision: Precision
    compiled: bool
    step_seconds: float
    first_seconds: float
    floor_seconds: float
    realtime_factor: float
    peak_mib: float

    def markdown(self) -> str:
        """Returns the row as it is in `table`."""
        how = f"{self.precision}{', compiled' if self.compiled else ''}"
        steps = f"{1 / self.step_seconds:.3g} | {1 / self.floor_seconds:.3g}"
        share = f"{self.floor_seconds / self.step_seconds:.0%} | {self.first_seconds:.1f}"
        return (
            f"| {self.model} | {how} | {steps} | {share} | {self.realtime_factor:.3g} | {self.peak_mib:.0f} |"
        )


HEAD = (
    "| model | precision | steps/s | steps/s at the floor | share | first step (s) | x real time | MiB |\n"
    "|---|---|---|---|---|---|---|---|"
)


def measure(
    model: str, device: torch.device, precision: Precision, seconds: float, compiled: bool = False
) -> Speed:
    """Trains a model of a preset on noise for about so many seconds, and separates noise with it."""
    objective, module, batch, config = _workload(model, device)
    step_flops = _flops(objective, batch)
    config = replace(config, precision=precision, steps=10**9, log_every=10**9)
    state = FitState.create(module, config)
    learner: Any = torch.compile(objective) if compiled else objective

    def run(steps: int) -> float:
        began = time.perf_counter()
        fit(learner, itertools.repeat(batch), replace(config, steps=state.step + steps), state=state)
        _wait(device)
        return time.perf_counter() - began

    first, second = run(1), run(1)
    count = max(1, round(seconds / WINDOWS / second))
    step = statistics.median(run(count) / count for _ in range(WINDOWS))
    factor = _realtime_factor(module, device, precision, seconds) if isinstance(module, Separator) else 0.0
    floor = step_flops / _pace(device, precision)
    return Speed(model, device.type, precision, compiled, step, first, floor, factor, _peak_mib(device))


def _workload(model: str, device: torch.device) -> tuple[Objective, nn.Module, dict[str, Tensor], FitConfig]:
    kind, preset = model.split()
    rate, channels, length = FORMATS[preset.partition("-")[0]]
    config: TrainSeparatorConfig | TrainPriorsConfig
    torch.manual_seed(0)
    if kind == "separator":
        config = TRAIN_SEPARATOR[preset]
        sources, scales = ("bass", "drums", "other", "vocals"), (1.0,) * 4
        form = replace(config.separator, sources=sources, sample_rate=rate, channels=channels, scales=scales)
        module: nn.Module = Separator(form)
        objective: Objective = Sleep(module, config.point)  # type: ignore[arg-type]
        items: tuple[int, ...] = (len(sources), channels, length)
    else:
        config = TRAIN_PRIORS[preset]
        module = config.prior.build(rate, channels)
        objective, items = MaximumLikelihood(module), (channels, length)  # type: ignore[arg-type]
    size = config.fit.batch_size if device.type == "cuda" or preset != "music" else 2
    (key,) = objective.needs
    batch = {key: 0.1 * torch.randn(size, *items, device=device)}
    return objective.to(device), module, batch, replace(config.fit, batch_size=size)


def _flops(objective: Objective, batch: dict[str, Tensor]) -> int:
    """Returns the operations of one step's products and convolutions, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        objective(batch, 0)["loss"].backward()
    objective.zero_grad()
    return counter.get_total_flops()


def _pace(device: torch.device, precision: Precision) -> float:
    """Returns how many operations per second one large product of matrices runs at."""
    size = 8_192 if device.type == "cuda" else 1_024
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a = torch.randn(size, size, device=device, dtype=dtype)
    return 2 * size**3 / min(_seconds(lambda: a @ a, device) for _ in range(5))


def _realtime_factor(
    separator: Separator, device: torch.device, precision: Precision, seconds: float
) -> float:
    """Returns the best over batch sizes of seconds of audio per second, without files."""
    separator.eval()
    length = math.ceil(CHUNK_SECONDS * separator.sample_rate / separator.multiple) * separator.multiple
    best = 0.0
    for size in _sizes(device):
        x = 0.1 * torch.randn(size, separator.channels, length, device=device)
        with computing(precision, device):
            took = min(
                _seconds(functools.partial(amortized, x, separator=separator), device) for _ in range(3)
            )
        best = max(best, size * length / separator.sample_rate / took)
        if 6 * took > seconds:
            break
    return best


def _sizes(device: torch.device) -> Iterator[int]:
    return iter((1, 4, 16, 64) if device.type == "cuda" else (1, 4))


def _seconds(do: Callable[[], object], device: torch.device) -> float:
    _wait(device)
    began = time.perf_counter()
    do()
    _wait(device)
    return time.perf_counter() - began


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _peak_mib(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Prints the table, and a JSON line for each row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--models", nargs="*", default=MODELS, choices=MODELS)
    parser.add_argument("--seconds", type=float, default=3.0, help="time per model and precision (s)")
    parser.add_argument("--compile", action="store_true", help="by torch.compile too")
    asked = parser.parse_args()
    device = torch.device(asked.device)
    torch.set_num_threads(1)
    print(HEAD, flush=True)
    precisions: list[Precision] = ["float32", *(["bf16"] if multiplies_bf16(device) else [])]  # type: ignore[list-item]
    for model, precision, compiled in itertools.product(
        asked.models, precisions, [False, True][: 1 + asked.compile]
    ):
        print(measure(model, device, precision, asked.seconds, compiled).markdown(), flush=True)


if __name__ == "__main__":
    main()
