import pytest
import torch
from gaussian import GaussianPrior, white

from vsep_ray.config import UserError
from vsep_ray.dreaming import FEWEST_ALIKE, DreamConfig, agreement, evenly, strongest_semitone

RATE, LENGTH = 8_000, 1_024


def tone(hertz, length=LENGTH):
    return torch.sin(2 * torch.pi * hertz / RATE * torch.arange(length, dtype=torch.float32)).reshape(1, -1)


@pytest.mark.parametrize(("hertz", "semitone"), [(27.5, 0), (220, 36), (233.08, 37), (440, 48), (3520, 84)])
def test_the_semitone_is_that_of_the_strongest_partial(hertz, semitone):
    clip = tone(hertz, 4_096) + 0.4 * tone(min(3 * hertz, 3_900), 4_096)
    assert strongest_semitone(clip[None], RATE).tolist() == [semitone]


def test_silence_and_infrasound_are_the_lowest_semitone():
    clips = torch.stack([torch.zeros(1, LENGTH), torch.ones(1, LENGTH)])
    assert strongest_semitone(clips, RATE).tolist() == [0, 0]


def test_groups_are_equally_likely_but_for_strays():
    torch.manual_seed(0)
    groups = torch.tensor([3] * 900 + [5] * 90 + [40])
    drawn = groups[evenly(groups, torch.ones(991, dtype=torch.bool), 20_000)]
    share = {g: (drawn == g).double().mean().item() for g in (3, 5, 40)}
    assert share[3] == pytest.approx(share[5], rel=0.05)
    assert share[40] == pytest.approx(share[5] / FEWEST_ALIKE, rel=0.2)


def test_silence_keeps_its_share():
    groups, audible = torch.tensor([0] * 50 + [3] * 40 + [5] * 10), torch.arange(100) >= 50
    drawn = groups[evenly(groups, audible, 20_000)]
    share = {g: (drawn == g).double().mean().item() for g in (0, 3, 5)}
    assert share == pytest.approx({0: 0.5, 3: 0.25, 5: 0.25}, abs=0.02)


def test_mistakes_are_told_in_words():
    with pytest.raises(UserError, match="at least one temperature"):
        DreamConfig(temperatures=())
    with pytest.raises(UserError, match="the prior of bass knows"):
        agreement(torch.zeros(1, 1, 64), "bass", {"bass": white(1.0, 64)}, 1e4)


def test_agreement_keeps_what_its_own_prior_denoises_best():
    """Narrow bands: a clip of the band of the bass, one of that of the drums, and silence."""
    low, high = torch.full((64,), 1e-4), torch.full((64,), 1e-4)
    low[:16], high[16:] = 1.0, 1.0
    priors = {"bass": GaussianPrior(low), "drums": GaussianPrior(high)}
    torch.manual_seed(0)
    clips = torch.cat([priors["bass"].sample(3, 64), priors["drums"].sample(3, 64)])
    assert agreement(clips, "bass", priors, 0.1).tolist() == [True] * 3 + [False] * 3
    assert agreement(clips, "drums", priors, 0.1).tolist() == [False] * 3 + [True] * 3


def test_the_quietest_prior_does_not_win_by_being_quiet():
    """Loud clips of the loud prior: the quiet one, whose likelihood prefers silence, denoises them worse."""
    priors = {"loud": white(1.0, 64), "quiet": white(0.05, 64)}
    torch.manual_seed(0)
    assert agreement(priors["loud"].sample(20, 64), "loud", priors, 0.2).all()
