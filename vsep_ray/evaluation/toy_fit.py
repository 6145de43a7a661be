"""How close a sample of a toy prior comes to the wave that it should be."""

import numpy as np
import torch
from torch import Tensor

from vsep_ray.datasets.toy import Shape, piano_keys, wave

PHASES = 64
"""This number of phases per period is tried for every key, and as many again around the best one."""
LIMIT_DB = 80.0


def wave_fit_db(x: Tensor, shape: Shape, sample_rate: int) -> Tensor:
    """Returns the ratio in dB of the energy of x to what remains of it beside its best wave of the given
    shape. Every piano key, phase and amplitude is tried. Silence fits nothing and has 0 dB, white noise has
    about 0 dB, the band-limited wave itself the limit of 80 dB (less where its phase lies between two that
    are tried: above 35 dB).

    Shape: (N, T), units of the waveform -> (N,) dB.
    """
    signals = x.detach().cpu().double().numpy()
    keys = piano_keys(27.5, np.nextafter(sample_rate / 2, 0))
    phases = np.arange(PHASES)[:, None] / PHASES
    gains = np.stack([_explained(signals, shape, key, phases, sample_rate) for key in keys], 1)
    best = gains.reshape(len(signals), -1).argmax(1)
    near = (np.arange(PHASES)[:, None] / PHASES * 2 - 1) / PHASES
    around = [(keys[b // PHASES], b % PHASES / PHASES + near) for b in best]
    return torch.tensor(
        [_fine(s, shape, k, p, sample_rate) for s, (k, p) in zip(signals, around, strict=True)]
    )


def _explained(signals: np.ndarray, shape: Shape, key: float, phases: np.ndarray, rate: int) -> np.ndarray:
    """Returns the energy of each signal's projection on the wave at each phase.

    Shape: (N, T), (P, 1) -> (N, P).
    """
    waves = wave(shape, key, phases, rate, signals.shape[-1], band_limited=True)
    return (signals @ (waves / np.linalg.norm(waves, axis=1, keepdims=True)).T) ** 2


def _fine(signal: np.ndarray, shape: Shape, key: float, phases: np.ndarray, rate: int) -> float:
    total = float(signal @ signal)
    rest = total - float(_explained(signal[None], shape, key, phases, rate).max())
    if total == 0:
        return 0.0
    return min(LIMIT_DB, -10 * np.log10(max(rest / total, 10 ** (-LIMIT_DB / 10))))
