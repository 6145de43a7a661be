"""The golden numbers are museval 0.4.1's own on the signals below.

museval itself was checked against the MATLAB BSS Eval.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from vsep_ray.config import UserError
from vsep_ray.evaluation.bsseval import bsseval_v4
from vsep_ray.evaluation.sdr import framewise_sdr

RATE = 2000
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "bsseval.json").read_text())


def signals(channels=2, seed=0):
    """Two sources of 2.3 s, estimates that echo and leak."""
    random = np.random.default_rng(seed)
    references = random.uniform(-0.5, 0.5, (2, channels, int(2.3 * RATE)))
    references[1] = np.cumsum(references[1], -1) / 20
    leaked = 0.2 * references[::-1] + 0.05 * random.standard_normal(references.shape)
    return references + 0.3 * np.roll(references, 7, -1) + leaked, references


def test_golden_numbers():
    result = bsseval_v4(*signals(), RATE)
    for metric, expected in GOLDEN.items():
        np.testing.assert_allclose(result[metric], expected, atol=1e-6)


def test_framewise_sdr_is_the_sdr_of_version_4():
    estimates, references = signals()
    references[0, :, RATE : 2 * RATE] = 0
    expected = bsseval_v4(estimates, references, RATE)["sdr"]
    got = framewise_sdr(torch.from_numpy(estimates), torch.from_numpy(references), RATE)
    assert np.isnan(expected[:, 1]).all()
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-9)


def test_zeros_are_refused_in_words():
    estimates, references = signals()
    references[1] = 0
    with pytest.raises(UserError, match=r"\[1\] of the references"):
        bsseval_v4(estimates, references, RATE)


def test_missing_ffmpeg_is_one_sentence_with_the_cure(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="install ffmpeg"):
        bsseval_v4(*signals(), RATE)
