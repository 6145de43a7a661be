import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vsep_ray.evaluation.sdr import framewise_sdr, is_silent, leakage_db, sdr, si_sdr


def signals(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def orthogonal_noise(reference, seed=1):
    noise = signals(*reference.shape, seed=seed).double()
    share = (noise * reference).sum((-2, -1), keepdim=True) / reference.square().sum((-2, -1), keepdim=True)
    return noise - share * reference


@pytest.mark.parametrize("target", [-10.0, 0.0, 7.5, 30.0])
def test_si_sdr_of_orthogonal_noise_is_its_level(target):
    reference = signals(3, 2, 500).double()
    noise = orthogonal_noise(reference)
    gain = (reference.norm(dim=(-2, -1)) / noise.norm(dim=(-2, -1)) * 10 ** (-target / 20))[:, None, None]
    estimate = reference + gain * noise
    torch.testing.assert_close(
        si_sdr(0.01 * estimate, reference), torch.full((3,), target, dtype=torch.float64)
    )
    torch.testing.assert_close(sdr(estimate, reference), torch.full((3,), target, dtype=torch.float64))


def test_limits_of_si_sdr():
    reference = signals(1, 100)
    assert si_sdr(reference, reference) == 60
    assert si_sdr(-2 * reference, reference) == 60
    assert si_sdr(torch.zeros(1, 100), reference) == -30
    assert sdr(reference, reference) == 100
    assert sdr(torch.zeros(1, 100), reference) == 0


def test_silent_references_have_leakage_in_place_of_a_score():
    references = signals(4, 1, 1000)
    references[1] *= 1e-4
    references[2] = 0
    estimates = references + 0.1 * signals(4, 1, 1000, seed=3)
    scores = si_sdr(estimates, references)
    assert is_silent(references).tolist() == scores.isnan().tolist() == [False, True, True, False]
    mixture = references.sum(0)
    assert -40 < leakage_db(estimates, mixture)[2] < -20
    assert leakage_db(torch.zeros(1, 10), torch.zeros(1, 10)) == -100


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(-(2.0**60), 2.0**60, width=32), min_size=6, max_size=6),
    st.lists(st.floats(-(2.0**60), 2.0**60, width=32), min_size=6, max_size=6),
)
def test_finite_input_never_gives_nan_for_heard_references(estimate, reference):
    estimate, reference = torch.tensor(estimate).view(1, 6), torch.tensor(reference).view(1, 6)
    if not is_silent(reference):
        for score in (si_sdr(estimate, reference), sdr(estimate, reference)):
            assert torch.isfinite(score)


def test_framewise_sdr_splits_into_windows_and_masks_silent_ones():
    references = signals(2, 1, 450).double()
    references[0, :, 100:200] = 0
    estimates = references + 0.1 * signals(2, 1, 450, seed=2)
    scores = framewise_sdr(estimates, references, sample_rate=100)
    assert scores.shape == (2, 4)
    assert scores.isnan().tolist() == [[False, True, False, False]] * 2
    torch.testing.assert_close(scores[0, 2], sdr(estimates[0, :, 200:300], references[0, :, 200:300]))


def test_a_track_shorter_than_a_window_is_one_window():
    references = signals(2, 2, 70)
    assert framewise_sdr(references + 1, references, sample_rate=100).shape == (2, 1)
