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
"""Waveform samples that are drawn together: a WaveNet takes hardly longer for many clips than for few."""
LOWEST_HZ = 27.5
FEWEST_ALIKE = 8
"""Clips of one semitone below which they are not repeated any more: a stray clip is no pitch."""


@dataclass(frozen=True)
class DreamConfig:
    """The clips that Sleep in regime A reads in the place of real ones."""

    num: int = 2_048
    """Clips per source."""
    priors: str = option("", role="input")
    """Other priors to draw from, a folder or the run id of train_priors.py: those that sample best need not
    be those that correct best. Default: those of the objective."""
    temperatures: tuple[float, ...] = (1.0,)
    """Temperatures of the draws, an equal part of them at each; below 1 they are cleaner and less diverse."""
    sigma: float = option(0.0, was=("noise_std",))
    """Noise level of the draws (units of the waveform); 0: the smallest that the priors know."""
    even_pitch: bool = True
    """Choose audible clips so that their strongest frequencies are spread evenly over the semitones: priors
    of pitched sources sample some pitches too often, and a separator learns to tell sources by them."""
    agreement: float = 0.0
    """Noise level (units of the waveform) at which a clip must be denoised better by its own prior than by
    those of the other sources, all from the objective's priors; 0: no clip is rejected."""

    def __post_init__(self) -> None:
        if not self.temperatures:
            raise UserError("dreams need at least one temperature")


@torch.no_grad()
def draw(prior: Prior, config: DreamConfig, length: int) -> Tensor:
    """Clips of a prior, an equal part of them at each temperature, finite and within four times full scale.

    Shape: -> (config.num, C, length), on the CPU.
    """
    whole = -(-length // prior.multiple) * prior.multiple
    batch = max(1, BATCH_SAMPLES // whole)
    parts = np.array_split(np.arange(config.num), len(config.temperatures))
    batches = [
        prior.sample(min(batch, len(part) - i), whole, temperature, config.sigma)
        for part, temperature in zip(parts, config.temperatures, strict=True)
        for i in range(0, len(part), batch)
    ]
    clips = torch.cat(batches).cpu()[..., :length]
    return torch.nan_to_num(clips, nan=0.0, posinf=1.0, neginf=-1.0).clamp(-4, 4)


def chosen(clips: Tensor, config: DreamConfig, sample_rate: int) -> Tensor:
    """As many clips as the config asks for, their pitches spread evenly where it says so.

    Shape: (N, C, T) -> (config.num, C, T).
    """
    if not config.even_pitch:
        return clips[torch.arange(config.num) % len(clips)]
    audible = torch.from_numpy(level_db(clips.numpy()) > SILENCE_DB)
    return clips[evenly(strongest_semitone(clips, sample_rate), audible, config.num)]


def strongest_semitone(x: Tensor, sample_rate: int) -> Tensor:
    """The semitone, counted from 27.5 Hz, of the strongest frequency of each clip (Hann window, channels
    averaged); 0 for silence and below. Shape: (N, C, T) -> (N,)."""
    mono = x.mean(1) * torch.hann_window(x.shape[-1], device=x.device)
    size = 8 * x.shape[-1]  # finer than the window resolves, so that neighbours do not fall into one bin
    hertz = torch.cat([torch.fft.rfft(m, size).abs().argmax(-1) for m in mono.split(64)]) * sample_rate / size
    return (12 * torch.log2(hertz.clamp_min(LOWEST_HZ) / LOWEST_HZ)).round().long()


def evenly(groups: Tensor, audible: Tensor, num: int) -> Tensor:
    """Indices of ``num`` clips, drawn with replacement so that every group of audible ones is equally likely;
    one of fewer than `FEWEST_ALIKE` clips is as much less likely. Silence keeps its share.

    Shape: (N,), (N,) of bool -> (num,).
    """
    weights = torch.ones(len(groups), dtype=torch.double)
    heard = groups[audible]
    even = 1 / torch.bincount(heard)[heard].clamp_min(FEWEST_ALIKE).double()
    weights[audible] = even * (len(heard) / even.sum())
    return torch.multinomial(weights, num, replacement=True)


@torch.no_grad()
def agreement(x: Tensor, source: str, priors: Mapping[str, Prior], noise_std: float) -> Tensor:
    """Which clips their own prior denoises better than every other prior: where the priors disagree with the
    one that drew it, a clip is junk or nobody's. A clip's own likelihood is no such test: it prefers silence.

    Shape: (N, C, T) -> (N,), of bool.

    Raises:
        UserError: a noise level that a prior does not know.
    """
    for name, prior in priors.items():
        check_level("--dreams.agreement", noise_std, name, prior)
    whole = x.shape[-1] // (multiple := math.lcm(*(p.multiple for p in priors.values()))) * multiple
    better = []
    for clips in x[..., :whole].split(64):
        level = clips.new_full((len(clips),), noise_std)
        noisy = per_item_noise(clips, level)
        errors = {
            s: (noisy + noise_std**2 * p.score(noisy, level) - clips).square().mean((1, 2))
            for s, p in priors.items()
        }
        least = torch.stack(list(errors.values())).min(0).values
        better.append(errors[source] <= least)
    return torch.cat(better)


def check_level(flag: str, noise_std: float, source: str, prior: Prior) -> None:
    """Refuse a noise level (units of the waveform) that the prior does not know.

    Raises:
        UserError: names the flag, the range and the source.
    """
    low, high = prior.noise_range
    if not low <= noise_std <= high:
        raise UserError(
            f"{flag} {noise_std} leaves the range [{low}, {high}] that the prior of {source} knows"
        )
