"""Dreams: clips are drawn from the priors, and some are chosen to learn from."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vsep_ray.config import UserError, option
from vsep_ray.crops.encoding import SILENCE_DB, level_db
from vsep_ray.priors.prior import Prior, per_item_noise

BATCH_SAMPLES = 512 * 1_024
"""A batch of draws has this number of waveform samples: a WaveNet takes hardly longer for many clips."""
LOWEST_HZ = 27.5
FEWEST_ALIKE = 8
"""A semitone of fewer clips than this is not made as likely as the others: a stray clip is no pitch."""


@dataclass(frozen=True)
class DreamConfig:
    """The clips that Sleep in regime A reads in the place of real ones."""

    num: int = 2_048
    """This number of clips is drawn per source."""
    priors: str = option("", role="input")
    """Clips are drawn from these priors, a folder or the run id of train_priors.py: the priors that sample
    best need not be those that correct best. Default: the priors of the objective."""
    temperatures: tuple[float, ...] = (1.0,)
    """An equal part of the clips is drawn at each temperature; below 1 clips are cleaner and less diverse."""
    sigma: float = option(0.0, was=("noise_std",))
    """Clips are drawn at this noise level (units of the waveform); 0 is the smallest that the priors know."""
    even_pitch: bool = True
    """Audible clips are chosen so that their strongest frequencies are spread evenly over the semitones.
    Priors of pitched sources sample some pitches too often, and separators learn to tell sources by them."""
    agreement: float = 0.0
    """At this noise level (units of the waveform) a clip must be denoised better by its own prior than by
    those of the other sources, as the objective has them; at 0 no clip is rejected."""

    def __post_init__(self) -> None:
        if not self.temperatures:
            raise UserError("dreams need at least one temperature")


def batches(config: DreamConfig, length: int) -> list[tuple[int, float]]:
    """Returns the batches in which clips are drawn: the number of clips of each, and their temperature.

    Example:
        >>> batches(DreamConfig(5, temperatures=(1.0, 0.8)), length=262_144)
        [(2, 1.0), (1, 1.0), (2, 0.8)]
    """
    size = max(1, BATCH_SAMPLES // length)
    parts = np.array_split(np.arange(config.num), len(config.temperatures))
    return [
        (min(size, len(part) - i), temperature)
        for part, temperature in zip(parts, config.temperatures, strict=True)
        for i in range(0, len(part), size)
    ]


@torch.no_grad()
def draw(prior: Prior, num: int, temperature: float, noise_std: float, length: int) -> Tensor:
    """Returns clips of a prior, finite and within four times full scale.

    Shape: -> (num, C, length), on the CPU.
    """
    whole = -(-length // prior.multiple) * prior.multiple
    clips = prior.sample(num, whole, temperature, noise_std).cpu()[..., :length]
    return torch.nan_to_num(clips, nan=0.0, posinf=1.0, neginf=-1.0).clamp(-4, 4)


def chosen(clips: Tensor, config: DreamConfig, sample_rate: int) -> Tensor:
    """Returns as many clips as the config asks for, their pitches spread evenly where it says so.

    Shape: (N, C, T) -> (config.num, C, T).
    """
    if not config.even_pitch:
        return clips[torch.arange(config.num) % len(clips)]
    audible = torch.from_numpy(level_db(clips.numpy()) > SILENCE_DB)
    return clips[evenly(strongest_semitone(clips, sample_rate), audible, config.num)]


def strongest_semitone(x: Tensor, sample_rate: int) -> Tensor:
    """Returns the semitone, counted from 27.5 Hz, of the strongest frequency of each clip (Hann window,
    channels averaged); silence and what lies below have 0.

    Shape: (N, C, T) -> (N,).
    """
    mono = x.mean(1) * torch.hann_window(x.shape[-1], device=x.device)
    size = 8 * x.shape[-1]  # finer than the window resolves, so that neighbours do not fall into one bin
    hertz = torch.cat([torch.fft.rfft(m, size).abs().argmax(-1) for m in mono.split(64)]) * sample_rate / size
    return (12 * torch.log2(hertz.clamp_min(LOWEST_HZ) / LOWEST_HZ)).round().long()


def evenly(groups: Tensor, audible: Tensor, num: int) -> Tensor:
    """Returns indices of ``num`` clips, drawn with replacement so that every group of audible ones is equally
    likely; a group of fewer than `FEWEST_ALIKE` clips is as much less likely. Silence keeps its share.

    Shape: (N,), (N,) of bool -> (num,).
    """
    weights = torch.ones(len(groups), dtype=torch.double)
    heard = groups[audible]
    even = 1 / torch.bincount(heard)[heard].clamp_min(FEWEST_ALIKE).double()
    weights[audible] = even * (len(heard) / even.sum())
    return torch.multinomial(weights, num, replacement=True)


@torch.no_grad()
def agreement(x: Tensor, source: str, priors: Mapping[str, Prior], noise_std: float) -> Tensor:
    """Returns which clips their own prior denoises better than every other prior. Where the priors disagree
    with the one that drew it, a clip is junk or nobody's. Its own likelihood is no such test: it prefers
    silence.

    Shape: (N, C, T) -> (N,), of bool.

    Raises:
        UserError: a noise level that a prior does not know.
    """
    for name, prior in priors.items():
        check_level("--dreams.agreement", noise_std, name, prior)
    whole = x.shape[-1] - x.shape[-1] % math.lcm(*(p.multiple for p in priors.values()))
    better = []
    for clips in x[..., :whole].split(64):
        level = clips.new_full((len(clips),), noise_std)
        noisy = per_item_noise(clips, level)
        errors = {
            s: (noisy + noise_std**2 * p.score(noisy, level) - clips).square().mean((1, 2))
            for s, p in priors.items()
        }
        better.append(errors[source] <= torch.stack(list(errors.values())).amin(0))
    return torch.cat(better)


def check_level(flag: str, noise_std: float, source: str, prior: Prior) -> None:
    """Refuses a noise level (units of the waveform) that the prior does not know.

    Raises:
        UserError: names the flag, the range and the source.
    """
    low, high = prior.noise_range
    if not low <= noise_std <= high:
        raise UserError(
            f"{flag} {noise_std} leaves the range [{low}, {high}] that the prior of {source} knows"
        )
