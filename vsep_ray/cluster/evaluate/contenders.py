"""Who is scored: every separator by every way of inference, each over mixtures of any length."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vsep_ray import checkpoint
from vsep_ray.chunking import CHUNK_SECONDS, OVERLAP, overlap_add
from vsep_ray.cluster.inputs import find_separator, load_joint, prior_directories
from vsep_ray.config import UserError
from vsep_ray.inference import SeparateFn, amortized, langevin, refine
from vsep_ray.joint import Joint
from vsep_ray.presets import EvaluateConfig
from vsep_ray.presets.evaluate import Method
from vsep_ray.presets.job import torch_device
from vsep_ray.separators import Separator
from vsep_ray.streaming.model import chunking

BATCH = 32


@dataclass(frozen=True)
class Contender:
    """A separator under one way of inference.

    Attributes:
        name: regime and method, as in tables.
        uri: of the separator.
        regime: under which it was trained.
        separator: the module.
        method: the way of inference.
        config: options of refine and langevin.
        joint: the priors that these ask; None for amortized.
    """

    name: str
    uri: str
    regime: str
    separator: Separator
    method: Method
    config: EvaluateConfig
    joint: Joint | None = None

    def separate(self, mixtures: Tensor) -> Tensor:
        """Estimates at any length, on the grid that bulk separation has by default.

        Shape:
            (N, C, T) -> (N, K, C, T), on the CPU
        """
        device = torch_device(self.config.device)
        function = self._function(device)
        grid = chunking(self.separator, CHUNK_SECONDS, OVERLAP, 1)
        if mixtures.shape[-1] <= grid.chunk:
            return torch.cat([function(m) for m in mixtures.split(BATCH)])
        sizes = {"chunk": grid.chunk, "hop": grid.hop}
        return torch.stack([torch.cat(list(overlap_add(function, [m], **sizes)), -1) for m in mixtures])

    def _function(self, device: torch.device) -> SeparateFn:
        chosen: Any = {"amortized": amortized, "refine": refine, "langevin": langevin}[self.method]
        options: dict[str, Any] = {"separator": self.separator.to(device)}
        if self.joint is not None:
            settings = self.config.refine if self.method == "refine" else self.config.langevin
            options |= dataclasses.asdict(settings) | {"joint": self.joint.to(device)}
        return lambda m: chosen(m.to(device), **options).cpu()


def contenders(config: EvaluateConfig) -> list[Contender]:
    """Every model of the config with every method, in their order.

    Raises:
        UserError: no such model or priors, or models of different sources, rates or channels.
    """
    found = [find_separator(m, config.storage, config.tracking_uri) for m in config.model or ("",)]
    first = found[0][2]
    for uri, _, separator in found[1:]:
        if _format(separator) != _format(first):
            raise UserError(
                f"model {uri} is for (sources, Hz, channels) {_format(separator)}, "
                f"{found[0][0]} for {_format(first)}; score them apart"
            )
    asks = any(m != "amortized" for m in config.methods)
    priors = prior_directories(config.priors, config.storage, first, force=True) if asks else {}
    made: list[Contender] = []
    for uri, directory, separator in found:
        regime = str(checkpoint.read_provenance(directory).get("regime", "unknown"))
        joint = load_joint(priors, separator) if priors else None
        for method in config.methods:
            name = _unused(f"{regime} {method}", [c.name for c in made])
            made.append(Contender(name, uri, regime, separator, method, config,
                                  None if method == "amortized" else joint))  # fmt: skip
    return made


def _format(separator: Separator) -> tuple[tuple[str, ...], int, int]:
    return separator.sources, separator.sample_rate, separator.channels


def _unused(name: str, taken: list[str]) -> str:
    count = sum(t == name or t.startswith(f"{name} (") for t in taken)
    return f"{name} ({count + 1})" if count else name
