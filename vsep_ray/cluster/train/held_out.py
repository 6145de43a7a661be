"""Held-out data are remixed clips, and mixtures alone; a separator is judged by both."""

import functools
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from vsep_ray.batches.augment import level_factors
from vsep_ray.batches.remixing import redrawn
from vsep_ray.crops.reading import Crops, read_crops
from vsep_ray.crops.store import CropStore
from vsep_ray.datasets.track import MIXTURE
from vsep_ray.evaluation.sdr import si_sdr
from vsep_ray.inference import amortized
from vsep_ray.joint import Joint
from vsep_ray.objectives import Wake
from vsep_ray.objectives.alarms import energy_shares
from vsep_ray.schedules import Schedule
from vsep_ray.separators import ConditionedNormalConfig, Separator

VALID_MIXTURES = 256
VALID_SAMPLES = 2**26
"""At most this number of mixtures is judged, and of samples of their sources: 256 MB."""
VALID_CLIPS = 2 * VALID_MIXTURES
"""Of this number of clips of each source remixes are made, at most."""
AT_ONCE = 2**22
"""At most this number of samples of sources is estimated at a time, but one mixture always is."""
BATCH = 8
"""This number of mixtures is taken at a time: the priors see all their sources at once."""
BOUND = "bound_nats_per_sample"
QUIETEST = "quietest_share"


def remix_scores(
    separator: Separator, store: CropStore, length: int = 0, level_lufs: float | None = None
) -> dict[str, float]:
    """Returns median and mean of SI-SDR (dB), and of its improvement over the mixture as the estimate.

    They are taken over remixes of held-out clips, and over sources.
    """
    sources = held_out_remix(store, length, level_lufs)
    device = next(separator.parameters()).device
    mixture = separator.mixing.mix(sources.to(device))
    at_once = min(4 * BATCH, max(1, AT_ONCE // sources[0].numel()))
    estimates = torch.cat([amortized(m, separator=separator).cpu() for m in mixture.split(at_once)])
    scores = si_sdr(estimates, sources)
    floor = si_sdr(mixture.cpu().unsqueeze(1).expand_as(sources), sources)
    gain = scores - floor  # NaN where a source is silent
    each = dict(zip(store.sources, gain.nanquantile(0.5, dim=0).tolist(), strict=True))
    return {
        "si_sdr_improvement_db": gain.nanquantile(0.5).item(),
        "si_sdr_improvement_mean_db": gain.nanmean().item(),
        "si_sdr_db": scores.nanquantile(0.5).item(),
        "si_sdr_mean_db": scores.nanmean().item(),
        **{f"si_sdr_improvement_db/{s}": value for s, value in each.items()},
    }


def validation_crops(store: CropStore, source: str, limit: int) -> Crops:
    """Returns crops of split valid, or of train where there is none; every call returns the same."""
    return read_crops(store, "valid" if store.holds("valid", source) else "train", source, limit)


def held_out_remix(store: CropStore, length: int = 0, level_lufs: float | None = None) -> Tensor:
    """Returns clips of different songs side by side, those of split train where too few songs are held out;
    every call returns the same.

    Where those of split train are too few as well, stems of one song meet. Regime B never comes so far: its
    training refuses such a store.

    Shape: -> (N, K, C, T)
    """
    samples = len(store.sources) * store.channels * (length or store.length)
    num = min(VALID_MIXTURES, max(BATCH, VALID_SAMPLES // samples))
    held_out = (validation_crops(store, s, VALID_CLIPS) for s in store.sources)
    remix, apart = _side_by_side(held_out, length, num)
    if not apart:
        remix, _ = _side_by_side(
            (read_crops(store, "train", s, VALID_CLIPS) for s in store.sources), length, num
        )
    for column in remix.swapaxes(0, 1):
        column *= level_factors(column, level_lufs, store.sample_rate).astype(np.float32)[:, None, None]
    return torch.from_numpy(remix)


def _side_by_side(sources: Iterable[Crops], length: int, num: int) -> tuple[np.ndarray, bool]:
    """Returns ``num`` items of a clip per source, (N, K, C, T), and whether each is of different songs."""
    songs: list[np.ndarray] = []
    columns = []
    apart = True
    for k, crops in enumerate(sources):
        rng = np.random.default_rng(k)
        audible = np.flatnonzero(~crops.silent)
        order = rng.permutation(audible if len(audible) else np.arange(len(crops.audio)))
        names, audio = _clips(crops, length, np.resize(order, num))
        pick = functools.partial(_picked, crops, length, order, rng)
        apart &= not redrawn(pick, songs, names, audio).any()
        songs.append(names)
        columns.append(audio)
    return np.stack(columns, 1), apart


def _picked(
    crops: Crops, length: int, order: np.ndarray, rng: np.random.Generator, num: int
) -> tuple[np.ndarray, np.ndarray]:
    return _clips(crops, length, rng.choice(order, num))


def _clips(crops: Crops, length: int, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns songs (num,) and beginnings (num, C, T) of some crops."""
    return np.array(crops.track, object)[numbers], crops.audio[numbers, :, : length or None]


def mixture_scores(
    separator: Separator,
    store: CropStore,
    length: int = 0,
    joint: Joint | None = None,
    noise_std: float = 0.1,
) -> dict[str, float]:
    """Returns what can be known without any source.

    It is the share of the energy that the quietest source gets, and, where `bounded`, the ELBO at beta = 1
    and one noise level (nats per waveform sample).

    The bound is the same functional whatever beta, temperatures and levels of Wake a separator was trained
    with (not across mixing noise, which changes what is measured); its draws are the same at every call.
    """
    mixtures = held_out_mixtures(store, length)
    device = next(separator.parameters()).device
    batches = [m.to(device) for m in mixtures.split(BATCH)]
    estimates = torch.cat([amortized(m, separator=separator) for m in batches])
    scores = {QUIETEST: energy_shares(separator.mixing.shares(estimates)).min().item()}
    if joint is None or not bounded(separator, joint, noise_std):
        return scores
    whole = mixtures.shape[-1] // joint.multiple * joint.multiple
    wake = Wake(separator, joint, Schedule(noise_std, noise_std)).to(device)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        bounds = torch.stack([wake({"mixture": m[..., :whole]}, 0)["elbo"] * len(m) for m in batches])
    return scores | {BOUND: bounds.sum().item() / estimates[..., :whole].numel()}


def bounded(separator: Separator, joint: Joint, noise_std: float) -> bool:
    """Returns whether there is a bound.

    It needs densities that are no estimates, a noise level that the priors know, and a posterior that knows
    its mixture.
    """
    low, high = joint.noise_range
    conditioned = isinstance(separator.config.posterior, ConditionedNormalConfig)
    return joint.exact and low <= noise_std <= high and (conditioned or separator.mixing.noise_std > 0)


def held_out_mixtures(store: CropStore, length: int = 0) -> Tensor:
    """Returns mixtures of split valid, or of train where there is none; every call returns the same.

    Shape: -> (N, C, T)
    """
    return torch.from_numpy(validation_crops(store, MIXTURE, VALID_MIXTURES).audio)[..., : length or None]
