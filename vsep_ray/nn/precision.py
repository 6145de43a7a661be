"""The numbers that networks compute in: float32, or bf16 where the hardware multiplies that.

Only what is marked by `network` ever computes in bf16. Weights, optimisers, losses, log densities, transforms
and sums are float32 everywhere.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Concatenate, Literal, ParamSpec, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

Precision = Literal["auto", "float32", "bf16"]
"""auto means bf16 where the hardware multiplies it, and float32 elsewhere."""
M = TypeVar("M", bound=nn.Module)
P = ParamSpec("P")
T = TypeVar("T")

_reduced: ContextVar[bool] = ContextVar("reduced", default=False)


def multiplies_bf16(device: torch.device) -> bool:
    """Returns whether the hardware multiplies bf16: AMX, AVX512-BF16, or CUDA from compute capability 8.0."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    found = torch.cpu.get_capabilities()
    return bool(found.get("amx_bf16") or found.get("avx512_bf16"))


def resolve(precision: Precision, device: torch.device) -> Precision:
    """Returns float32 or bf16: what was asked for, or what auto means on a device."""
    if precision != "auto":
        return precision
    return "bf16" if multiplies_bf16(device) else "float32"


@contextmanager
def computing(precision: Precision, device: torch.device) -> Iterator[None]:
    """Within this block, networks compute in this precision.

    Example:
        >>> with computing("bf16", torch.device("cpu")):
        ...     _reduced.get()
        True
    """
    token = _reduced.set(resolve(precision, device) == "bf16")
    try:
        yield
    finally:
        _reduced.reset(token)


def network(forward: Callable[Concatenate[M, P], T]) -> Callable[Concatenate[M, P], T]:
    """Marks a method of a module, from tensors to tensors, that may compute in bf16 where the module is
    float32; what it returns is float32 all the same.
    """

    @functools.wraps(forward)
    def run(module: M, *inputs: P.args, **none: P.kwargs) -> T:
        weight = next(module.parameters())
        if not _reduced.get() or weight.dtype != torch.float32:
            return forward(module, *inputs, **none)
        with torch.autocast(weight.device.type, torch.bfloat16):
            return tree_map(Tensor.float, forward(module, *inputs, **none))

    return run
