"""Every separator is scored by every way of inference, and heard on the worst tracks."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vsep_ray import checkpoint
from vsep_ray.chunking import CHUNK_SECONDS, OVERLAP, overlap_add
from vsep_ray.cluster.evaluate import examples
from vsep_ray.cluster.evaluate.examples import Example, Portion
from vsep_ray.cluster.inputs import find_separator, prior_directories
from vsep_ray.config import UserError
from vsep_ray.inference import SeparateFn, amortized_with_variance, uncertainty
from vsep_ray.joint import Joint
from vsep_ray.methods import AmortizedConfig, MethodConfig, over_shifts, seeded
from vsep_ray.nn.precision import computing
from vsep_ray.presets import EvaluateConfig
from vsep_ray.presets.evaluate import Method
from vsep_ray.presets.job import torch_device
from vsep_ray.report.media import Clip
from vsep_ray.separators import Separator
from vsep_ray.streaming import Selection
from vsep_ray.streaming.model import chunking

BATCH = 32
EXCERPT_SECONDS = 10.0
FRAMES = 100
"""A posterior's spread is compared with its error at this number of points over an excerpt."""
DRAWS = 16
"""The spread of a sum of sources is that of this number of draws: of single ones it is known."""


@dataclass(frozen=True)
class Contender:
    """Separates by one separator under one way of inference.

    Attributes:
        name: regime and method, as in tables.
        uri: the separator's URI.
        regime: the regime under which it was trained.
        separator: the module.
        method: the way of inference.
        config: it has the options of refine and langevin.
        joint: the priors that refine and langevin ask; None for amortized.
    """

    name: str
    uri: str
    regime: str
    separator: Separator
    method: Method
    config: EvaluateConfig
    joint: Joint | None = None

    def separate(self, mixtures: Tensor) -> Tensor:
        """Returns estimates at any length, on the grid that bulk separation has by default.

        Shape:
            (N, C, T) -> (N, K, C, T), on the CPU
        """
        function = self._function(torch_device(self.config.device))
        grid = chunking(self.separator, CHUNK_SECONDS, OVERLAP, 1)
        if mixtures.shape[-1] <= grid.chunk:
            return torch.cat([function(m) for m in mixtures.split(BATCH)])
        sizes = {"chunk": grid.chunk, "hop": grid.hop}
        return torch.stack([torch.cat(list(overlap_add(function, [m], **sizes)), -1) for m in mixtures])

    def _function(self, device: torch.device) -> SeparateFn:
        method: MethodConfig = AmortizedConfig()
        if self.method != "amortized":
            method = self.config.refine if self.method == "refine" else self.config.langevin
        estimate = method.bind(self.separator.to(device), self.joint.to(device) if self.joint else None)
        estimate = over_shifts(estimate, self.config.shifts, self.separator.multiple)

        def separate(mixture: Tensor) -> Tensor:
            with computing(self.config.precision, device):
                return estimate(mixture.to(device)).cpu()

        return separate


def find_contenders(config: EvaluateConfig) -> list[Contender]:
    """Returns every model of the config with every method, in their order.

    Raises:
        UserError: no such model or priors, or models of different sources, rates or channels.
    """
    place = (config.storage, config.tracking_uri)
    toys = not config.model and examples.asks_for_toys(config)
    found = [find_separator(m, *place, toys=toys) for m in config.model or ("",)]
    first = found[0][2]
    for uri, _, separator in found[1:]:
        if _format(separator) != _format(first):
            raise UserError(
                f"model {uri} is for (sources, Hz, channels) {_format(separator)}, "
                f"{found[0][0]} for {_format(first)}; score them apart"
            )
    asks = config.asks_priors
    priors = prior_directories(config.priors, config.storage, first, force=True) if asks else {}
    made: list[Contender] = []
    for uri, directory, separator in found:
        regime = str(checkpoint.read_provenance(directory).get("regime", "unknown"))
        joint = checkpoint.load_joint(priors, separator) if asks else None
        for method in config.methods:
            name = f"{regime} {method}"
            if count := sum(c.regime == regime and c.method == method for c in made):
                name = f"{name} ({count + 1})"
            asked = None if method == "amortized" else joint
            made.append(Contender(name, uri, regime, separator, method, config, asked))
    return made


def _format(separator: Separator) -> tuple[tuple[str, ...], int, int]:
    return separator.sources, separator.sample_rate, separator.channels


@dataclass(frozen=True)
class Excerpt:
    """An excerpt is part of one track as it was heard and separated.

    Attributes:
        track: the track's id.
        clips: mixture, references and the estimates of every contender.
        predicted: standard deviation of the first contender's posterior over time, (K, N).
        actual: root mean square error of its mean at the same times, (K, N).
        frame_seconds: the time between two points.
    """

    track: str
    clips: list[Clip]
    predicted: Tensor
    actual: Tensor
    frame_seconds: float


def excerpts(
    portion: Portion, contenders: Sequence[Contender], selection: Selection, tracks: Sequence[str]
) -> list[Excerpt]:
    """Returns the excerpts of a portion's tracks, where they are wanted."""
    if isinstance(portion, examples.WholeTrack) and portion.track.id not in tracks:
        return []
    found = examples.read(portion, contenders[0].separator)
    return [_excerpt(e, contenders, selection) for e in found if e.track in tracks and not e.published]


def _excerpt(example: Example, contenders: Sequence[Contender], selection: Selection) -> Excerpt:
    first = contenders[0].separator
    fold = functools.partial(examples.fold, selection=selection, scales=first.mixing.scales.cpu())
    length = round(EXCERPT_SECONDS * first.sample_rate)
    start = max(0, min(example.mixture.shape[-1] // 3, example.mixture.shape[-1] - length))
    span = slice(start, start + length)  # from a third of the track on
    part = Example(example.track, fold(example.references[..., span])[0], example.mixture[..., span])
    clip = functools.partial(Clip, part.track, sample_rate=first.sample_rate)
    clips = [clip("mixture", "mixture", audio=part.mixture.numpy())]
    estimates = {c.name: fold(c.separate(part.mixture[None]))[0][0] for c in contenders}
    for k, source in enumerate(selection.stems):
        clips.append(clip(source, "reference", audio=part.references[k].numpy()))
        clips += [clip(source, name, audio=x[k].numpy()) for name, x in estimates.items()]
    frame = -(-part.mixture.shape[-1] // FRAMES)
    std = _spread(part.mixture[None], first, selection)
    error = estimates[contenders[0].name] - part.references
    return Excerpt(
        part.track, clips, uncertainty(std, frame)[0], uncertainty(error[None], frame)[0],
        frame / first.sample_rate,
    )  # fmt: skip


@torch.no_grad()
def _spread(mixture: Tensor, separator: Separator, selection: Selection) -> Tensor:
    """Returns the posterior's standard deviation of each stem. Shape: (B, C, T) -> (B, J, C, T)."""
    device = next(separator.parameters()).device
    mixture = mixture.to(device)
    if not selection.folded:
        return separator(mixture).variance.sqrt().cpu()
    matrix, scales = torch.from_numpy(selection.matrix).to(device), separator.mixing.scales
    _, own = examples.fold(mixture.new_zeros(len(scales), 1, 1), selection, scales)
    drawn = functools.partial(amortized_with_variance, separator=separator, samples=DRAWS, matrix=matrix)
    _, variance = seeded(drawn)(mixture)
    return (variance.sqrt() / own[:, None, None]).cpu()
