"""What a listening page is made of: ten seconds of the worst tracks, separated once more."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vsep_ray.cluster.evaluate import examples
from vsep_ray.cluster.evaluate.contenders import Contender
from vsep_ray.cluster.evaluate.examples import Example, Portion
from vsep_ray.inference import uncertainty
from vsep_ray.report.media import Clip

EXCERPT_SECONDS = 10.0
FRAMES = 100
"""Points over an excerpt at which a posterior's spread is compared with its error."""


@dataclass(frozen=True)
class Excerpt:
    """Part of one track as it was heard and separated.

    Attributes:
        track: the track's id.
        clips: mixture, references and the estimates of every contender.
        predicted: standard deviation of the first contender's posterior over time (K, N).
        actual: root mean square error of its mean at the same times (K, N).
        frame_seconds: between two of these times.
    """

    track: str
    clips: list[Clip]
    predicted: Tensor
    actual: Tensor
    frame_seconds: float


def excerpts(portion: Portion, contenders: Sequence[Contender], tracks: Sequence[str]) -> list[Excerpt]:
    """The excerpts of those tracks of a portion that are wanted."""
    if isinstance(portion, examples.WholeTrack) and portion.track.id not in tracks:
        return []
    found = examples.read(portion, contenders[0].separator)
    return [_excerpt(e, contenders) for e in found if e.track in tracks and not e.published]


def _excerpt(example: Example, contenders: Sequence[Contender]) -> Excerpt:
    first = contenders[0].separator
    part = _ten_seconds(example, first.sample_rate)
    clip = functools.partial(Clip, part.track, sample_rate=first.sample_rate)
    clips = [clip("mixture", "mixture", audio=part.mixture.numpy())]
    estimates = {c.name: c.separate(part.mixture[None])[0] for c in contenders}
    for k, source in enumerate(first.sources):
        clips.append(clip(source, "reference", audio=part.references[k].numpy()))
        clips += [clip(source, name, audio=x[k].numpy()) for name, x in estimates.items()]
    frame = -(-part.mixture.shape[-1] // FRAMES)
    with torch.no_grad():
        device = next(first.parameters()).device
        std = first(part.mixture[None].to(device)).variance.sqrt().cpu()
    error = estimates[contenders[0].name] - part.references
    return Excerpt(
        part.track, clips, uncertainty(std, frame)[0], uncertainty(error[None], frame)[0],
        frame / first.sample_rate,
    )  # fmt: skip


def _ten_seconds(example: Example, sample_rate: int) -> Example:
    """Ten seconds from a third of the track on."""
    length = round(EXCERPT_SECONDS * sample_rate)
    start = max(0, min(example.mixture.shape[-1] // 3, example.mixture.shape[-1] - length))
    span = slice(start, start + length)
    return Example(example.track, example.references[..., span], example.mixture[..., span])
