import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vsep_ray.transforms.stft import istft, resynthesis, stft


@settings(max_examples=60, deadline=None)
@given(length=st.integers(1, 700), hops=st.sampled_from([2, 4, 8]), n_fft=st.sampled_from([16, 64, 256]))
def test_the_inverse_is_exact_at_any_length(length, hops, n_fft):
    x = torch.randn(2, 3, length)
    spectrum = stft(x, n_fft, n_fft // hops)
    assert spectrum.shape == (2, 3, n_fft // 2 + 1, math.ceil(length / (n_fft // hops)) + 1)
    torch.testing.assert_close(istft(spectrum, n_fft // hops, length), x, atol=1e-5, rtol=0)


@pytest.mark.parametrize("n_fft", [2_048, 4_096])
def test_half_overlapping_long_windows_reach_the_last_sample(n_fft):
    x = torch.randn(1, n_fft - 1)
    torch.testing.assert_close(
        istft(stft(x, n_fft, n_fft // 2), n_fft // 2, x.shape[-1]), x, atol=1e-5, rtol=0
    )


def test_frames_are_centred_on_multiples_of_the_hop():
    click = torch.zeros(64)
    click[32] = 1
    assert stft(click, 16, 8).abs().sum(0).argmax() == 4


def test_a_sine_peaks_in_its_bin():
    x = torch.sin(2 * math.pi * 5 / 64 * torch.arange(640))
    assert (stft(x, 64, 16).abs()[:, 5:-5].argmax(0) == 5).all()


def test_white_noise_keeps_its_variance_up_to_the_power_of_the_window(float64):
    torch.manual_seed(0)
    power = stft(torch.randn(8, 8_192), 64, 16)[:, 1:-1, 4:-4].abs().square().mean()
    assert power.item() == pytest.approx(3 / 8, rel=0.03)  # the mean of a squared Hann window


def test_gradients_pass():
    x = torch.randn(1, 33, requires_grad=True)
    istft(stft(x, 16, 4), 4, 33).square().sum().backward()
    torch.testing.assert_close(x.grad, 2 * x.detach(), atol=1e-4, rtol=1e-4)


@settings(max_examples=60, deadline=None)
@given(length=st.integers(1, 700), hops=st.sampled_from([2, 4, 8]), n_fft=st.sampled_from([16, 64, 256]))
def test_resynthesis_is_the_same_inverse_in_another_order(length, hops, n_fft):
    x = torch.randn(2, 3, length)
    frames = stft(x, n_fft, n_fft // hops).permute(0, 3, 1, 2)
    torch.testing.assert_close(resynthesis(frames, n_fft // hops, length), x, atol=1e-5, rtol=0)


def test_resynthesis_has_the_gradient_of_the_inverse(float64):
    frames = torch.randn(2, 6, 3, 9, dtype=torch.complex128, requires_grad=True)
    weight = torch.randn(2, 3, 19)
    (resynthesis(frames, 4, 19) * weight).sum().backward()
    found, frames.grad = frames.grad, None
    (istft(frames.permute(0, 2, 3, 1), 4, 19) * weight).sum().backward()
    torch.testing.assert_close(found, frames.grad)
