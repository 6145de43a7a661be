"""Our models and the peers separate a clip; a peer that is not installed is left out with the cure."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from vsep_ray import pretrained
from vsep_ray.cluster.benchmark import peers

PACKAGES = {"open-unmix": "openunmix", "H": "demucs"}


def check(model):
    clip = 0.1 * torch.randn(model.channels, model.sample_rate // 5)
    with torch.inference_mode():
        stems = model.separate(clip)
    assert stems.shape == (len(peers.SOURCES), *clip.shape) and stems.isfinite().all()
    return clip, stems


@pytest.mark.parametrize("name", peers.OURS)
def test_our_stems_sum_to_the_clip(name):
    clip, stems = check(peers.ours(name, torch.device("cpu"), 0.25))
    assert torch.allclose(stems.sum(0), clip, atol=1e-5)


def test_the_frame_net_has_the_size_that_its_data_can_fill():
    module = peers.ours("ours, frame net", torch.device("cpu"), 0.25).module
    assert 4e6 < sum(parameter.numel() for parameter in module.parameters()) < 15e6


@pytest.mark.parametrize("name", peers.PEERS)
def test_a_peer_separates_a_clip(name):
    package = next(package for start, package in PACKAGES.items() if name.startswith(start))
    if importlib.util.find_spec(package) is None:  # importorskip would stumble over torchaudio
        pytest.skip(f"{package} is not installed: {peers.INSTALL}")
    _, stems = check(peers.PEERS[name](name, torch.device("cpu"), 0.25))
    assert stems.abs().max() > 0 and "torchaudio" not in sys.modules


def test_without_peers_our_rows_are_printed_and_the_cure(monkeypatch, capsys, separator_directory):
    for package in ("openunmix", "demucs", "demucs.htdemucs", "demucs.hdemucs"):
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(peers, "OURS", {"ours, `laptop`": peers.OURS["ours, `laptop`"]})
    monkeypatch.setattr(pretrained, "FOLDER", Path(separator_directory))
    monkeypatch.setattr("sys.argv", ["peers", "--device", "cpu", "--seconds", "0.1", "--repeats", "1"])
    peers.main()
    head, _, row, bundled, *absent = capsys.readouterr().out.splitlines()
    assert row.startswith("| ours, `laptop` | 16000 | 1 |") and row.endswith("| - | - |")
    assert row.count("|") == head.count("|") and bundled.startswith("| ours, bundled | 8000 | 1 |")
    assert len(absent) == len(peers.PEERS) and all(line.endswith(peers.INSTALL) for line in absent)
