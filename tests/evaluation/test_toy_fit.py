import math

import pytest
import torch

from vsep_ray.datasets.toy import SHAPES, wave
from vsep_ray.evaluation.toy_fit import wave_fit_db

RATE, LENGTH = 8_000, 512


def toy(shape, phase, key=440.0):
    return torch.from_numpy(0.6 * wave(shape, key, phase, RATE, LENGTH, band_limited=True))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_wave_fits_itself_at_any_phase_and_no_other(shape):
    waves = torch.stack([toy(shape, phase) for phase in (0.0, 0.123, 0.777)])
    assert wave_fit_db(waves, shape, RATE).min() > 35
    for other in set(SHAPES) - {shape}:
        assert wave_fit_db(waves, other, RATE).max() < 25


def test_noise_and_silence_fit_nothing_and_a_noisy_wave_fits_at_its_ratio():
    torch.manual_seed(0)
    assert wave_fit_db(torch.randn(3, LENGTH), "square", RATE).max() < 1.5
    assert wave_fit_db(torch.zeros(1, LENGTH), "square", RATE).item() == 0
    clean = toy("sawtooth", 0.3)
    noise = torch.randn(LENGTH).double() * clean.std() * 0.1
    fit = wave_fit_db((clean + noise)[None], "sawtooth", RATE).item()
    ratio = (clean + noise).square().sum() / noise.square().sum()
    assert fit == pytest.approx(10 * math.log10(ratio), abs=0.3)
