"""What is measured on held-out data: on remixes of different songs, and without sources (closed forms)."""

import math

import numpy as np
import pytest
import torch
from gaussian import ExactSeparator, white
from stores import song_store

from vsep_ray.cluster.train import held_out
from vsep_ray.cluster.train.held_out import BOUND, QUIETEST, held_out_remix, mixture_scores
from vsep_ray.joint import Joint
from vsep_ray.mixing import LinearMixing
from vsep_ray.priors import ScoreConfig
from vsep_ray.separators import FactorisedNormalConfig, SeparatorConfig

STDS, LENGTH = {"bass": 0.3, "drums": 0.6}, 64


class Exact(ExactSeparator):
    """With a parameter, which says on which device it lies."""

    def __init__(self, stds, mixing):
        super().__init__(stds, mixing)
        self.stds = torch.nn.Parameter(self.stds)
        self.config = SeparatorConfig()


@pytest.fixture
def mixtures(monkeypatch):
    """Mixtures of white Gaussian sources, the sum of both, in the place of those of a store."""
    std = math.hypot(*STDS.values())
    drawn = std * torch.randn(128, 1, LENGTH, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(held_out, "held_out_mixtures", lambda store, length: drawn)
    return drawn


def joint_of(q, **changes):
    return Joint({s: white(v, LENGTH) for s, v in (STDS | changes).items()}, q.mixing)


def test_the_bound_is_the_log_evidence_at_the_true_posterior(mixtures):
    """Without blur: log p(m) of the sum, as a density on the plane, for every draw."""
    q = Exact(STDS, LinearMixing((1.0, 1.0)))
    scores = mixture_scores(q, None, joint=joint_of(q), noise_std=1e-4)
    variance = sum(v**2 for v in STDS.values())
    evidence = -0.5 * (mixtures**2 / variance + math.log(2 * math.pi * variance)).mean().item()
    # log p(s) + H(q) is the log evidence less the blur across the plane, -log sigma and half the noise's rest
    blur = 0.5 * math.log(2 * math.pi * math.e * 1e-8 * 2)
    assert scores[BOUND] == pytest.approx((evidence + blur) / 2, abs=0.02)
    assert scores[QUIETEST] == pytest.approx(0.09**2 / (0.09**2 + 0.36**2), rel=1e-3)


def test_a_worse_posterior_has_a_lower_bound_and_two_calls_agree(mixtures):
    mixing = LinearMixing((1.0, 1.0), noise_std=0.1)
    best, worse = Exact(STDS, mixing), Exact(STDS | {"bass": 0.5}, mixing)
    bounds = [mixture_scores(q, None, joint=joint_of(q))[BOUND] for q in (best, worse)]
    assert bounds[0] > bounds[1] + 0.01
    assert mixture_scores(best, None, joint=joint_of(best))[BOUND] == bounds[0]


def test_estimates_give_no_bound(mixtures):
    q = Exact(STDS, LinearMixing((1.0, 1.0)))
    prior = ScoreConfig(n_fft=64, hop=32, width=4, levels=0, blocks=1).build(8_000, 1)
    estimate = Joint(dict.fromkeys(STDS, prior), q.mixing)
    assert mixture_scores(q, None, joint=estimate).keys() == {QUIETEST}
    assert mixture_scores(q, None).keys() == {QUIETEST}


def test_there_is_no_bound_where_wake_would_refuse(mixtures):
    q = Exact(STDS, LinearMixing((1.0, 1.0)))
    assert BOUND in mixture_scores(q, None, joint=joint_of(q))
    assert BOUND not in mixture_scores(q, None, joint=joint_of(q), noise_std=1e3)
    q.config = SeparatorConfig(posterior=FactorisedNormalConfig())
    assert BOUND not in mixture_scores(q, None, joint=joint_of(q))


def test_mixtures_are_cut_to_what_the_priors_take(mixtures, monkeypatch):
    q = Exact(STDS, LinearMixing((1.0, 1.0)))
    expected = mixture_scores(q, None, joint=joint_of(q))[BOUND]
    longer = torch.nn.functional.pad(mixtures, (0, 3))
    monkeypatch.setattr(held_out, "held_out_mixtures", lambda store, length: longer)
    assert mixture_scores(q, None, joint=joint_of(q))[BOUND] == pytest.approx(expected)


def test_a_silent_source_is_seen(mixtures):
    q = Exact(STDS | {"bass": 1e-4}, LinearMixing((1.0, 1.0)))
    assert mixture_scores(q, None)[QUIETEST] < 1e-6


def songs_apart(folder, splits, sources=("bass", "drums", "other")):
    """A store of songs whose clips, of every source, say by their level which song they are of."""
    songs = {
        f"song {i}": (split, dict.fromkeys(sources, np.full((1, 256), 0.05 * (i + 1), np.float32)))
        for i, split in enumerate(splits)
    }
    return song_store(folder, songs, length=LENGTH)


def songs_of(items):
    return (items[:, :, 0, 0] / 0.05).round().int().tolist()


def test_no_item_of_the_held_out_remix_holds_two_stems_of_one_song(tmp_path):
    store = songs_apart(tmp_path, ["train"] * 3 + ["valid"] * 4)
    remix = held_out_remix(store)
    assert remix.shape == (held_out.VALID_MIXTURES, 3, 1, LENGTH)
    assert all(len(set(item)) == 3 and set(item) <= {4, 5, 6, 7} for item in songs_of(remix))
    assert torch.equal(remix, held_out_remix(store)) and not torch.equal(remix[0], remix[1])
    assert torch.equal(held_out_remix(store, 16), remix[..., :16])


def test_where_too_few_songs_are_held_out_clips_of_the_training_are_remixed(tmp_path):
    items = songs_of(held_out_remix(songs_apart(tmp_path / "few", ["train"] * 3 + ["valid"])))
    assert all(sorted(item) == [1, 2, 3] for item in items)
    alone = songs_of(held_out_remix(songs_apart(tmp_path / "alone", ["train", "train", "valid"])))
    assert {song for item in alone for song in item} == {1, 2}


def test_long_clips_are_held_out_in_fewer_items(tmp_path, monkeypatch):
    store = songs_apart(tmp_path, ["train"] * 3 + ["valid"] * 4)
    monkeypatch.setattr(held_out, "VALID_SAMPLES", 10 * 3 * LENGTH)
    assert len(held_out_remix(store)) == 10
    assert len(held_out_remix(store, LENGTH // 2)) == 20
