"""What a prior has to say at a validation: densities of its own clips and of probes, and samples."""

import time

import numpy as np
from torch import Tensor

from vsep_ray.crops.store import CropStore
from vsep_ray.datasets.toy import SHAPES
from vsep_ray.evaluation.likelihood import NATS_PER_BIT, Discrimination
from vsep_ray.evaluation.toy_fit import wave_fit_db
from vsep_ray.priors import Prior
from vsep_ray.report.figures import samples_figure
from vsep_ray.tracking import Tracker

SAMPLES = 16
"""Samples that are drawn at every validation."""
SHOWN = 4
"""Of them, those that are kept to see and hear."""
LONGEST_SECONDS = 2
"""Length of a sample at most."""


def own_words(result: Discrimination) -> dict[str, float]:
    """What one prior says per sample of its own clips (nats and bits, nats above the noise's entropy) and of
    the probes (nats), per noise level."""
    out: dict[str, float] = {}
    (source,) = result.sources
    for i, sigma in enumerate(result.noise_stds):
        nats = -result.matrix[i, :, 0]
        out[f"nats_per_sample/sigma_{sigma:g}"] = nats[0].item()
        out[f"bits_per_sample/sigma_{sigma:g}"] = nats[0].item() / NATS_PER_BIT
        out[f"above_noise/sigma_{sigma:g}"] = result.above_noise()[source][i]
        probes = zip(result.clips[1:], nats[1:].tolist(), strict=True)
        out |= {f"probe_{name}/sigma_{sigma:g}": value for name, value in probes}
    return out


def sampled(prior: Prior, store: CropStore, source: str, length: int) -> tuple[Tensor, dict[str, float]]:
    """A few samples, on the CPU, how long they took, and for toy waves their median fit to the wave (dB).

    Shape: -> (`SAMPLES`, C, T), T at most ``length``, and a few seconds of sound.
    """
    length = min(length, LONGEST_SECONDS * store.sample_rate) // prior.multiple * prior.multiple
    began = time.perf_counter()
    samples = prior.sample(SAMPLES, length).cpu()
    seconds = time.perf_counter() - began
    figures = {"sample_seconds": seconds / SAMPLES, "sample_level": samples.square().mean().sqrt().item()}
    if source in SHAPES:
        fits = wave_fit_db(samples[:, 0], source, store.sample_rate)  # type: ignore[arg-type]
        figures |= {"sample_fit_db": fits.median().item()}
    return samples, figures


def show_samples(tracker: Tracker, samples: Tensor, sample_rate: int, name: str) -> None:
    """The first samples as sound, one after the other, and as spectrograms."""
    few = samples[:SHOWN].numpy()
    tracker.audio(np.concatenate(few, -1), sample_rate, f"samples/{name}.wav")
    tracker.figure(samples_figure(few[:, 0], sample_rate), f"samples/{name}.png")
