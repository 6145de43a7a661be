"""A separator and priors that are small enough to run everywhere."""

import json

import pytest
import torch

from vsep_ray import checkpoint
from vsep_ray.priors import ScoreConfig
from vsep_ray.separators import Separator, SeparatorConfig
from vsep_ray.separators.spectrogram_unet import SpectrogramUNetConfig


@pytest.fixture
def separator_directory(tmp_path):
    """The checkpoint directory of an untrained separator of bass and other, 8 kHz, mono."""
    torch.manual_seed(0)
    backbone = SpectrogramUNetConfig(n_fft=64, hop=32, width=4, blocks=1)
    config = SeparatorConfig(
        sources=("bass", "other"), sample_rate=8000, channels=1, scales=(1.0, 1.0), backbone=backbone
    )
    checkpoint.save(tmp_path / "model", Separator(config), {"regime": "B"})
    return str(tmp_path / "model")


@pytest.fixture
def priors_directory(tmp_path):
    """A folder of untrained priors of bass and other, 8 kHz, mono, as train_priors.py leaves one."""
    torch.manual_seed(0)
    for source in ("bass", "other"):
        prior = ScoreConfig(n_fft=64, hop=32, width=4, levels=0, blocks=1).build(8000, 1)
        checkpoint.save(tmp_path / "priors" / source, prior, {"source": source})
    words = {"run_id": "x", "discrimination": {"failed_gate": ["bass"]}}
    (tmp_path / "priors" / "discrimination.json").write_text(json.dumps(words))
    return str(tmp_path / "priors")
