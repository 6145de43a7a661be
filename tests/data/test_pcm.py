"""16-bit PCM: sample-exact, never clipped."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vsep_ray.data.pcm import cut, decode, encode

RNG = np.random.default_rng(0)


@given(st.integers(1, 300), st.integers(1, 100), st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_crops_cover_the_signal_and_are_padded_with_silence(total, length, channels):
    audio = RNG.standard_normal((channels, total))
    crops = cut(audio, length)
    assert crops.shape == (-(-total // length), channels, length)
    joined = crops.swapaxes(0, 1).reshape(channels, -1)
    np.testing.assert_array_equal(joined[:, :total], audio)
    assert not joined[:, total:].any()


def test_16_bit_audio_comes_back_sample_exact():
    pcm = RNG.integers(-32_768, 32_768, (5, 2, 64)).astype(np.int16)
    pcm[0, 0, :2] = -32_768, 32_767
    audio = pcm.astype(np.float32) / 32_768
    stored, gain = encode(audio)
    assert stored.shape == (5, 64, 2) and (gain == 1).all()
    np.testing.assert_array_equal(decode([item.tobytes() for item in stored], gain, 2), audio)


def test_audio_over_full_scale_is_scaled_never_clipped():
    audio = np.stack([0.5 * np.ones((1, 8)), np.linspace(-3, 2, 8)[None]]).astype(np.float32)
    stored, gain = encode(audio)
    assert gain[0] == 1 < gain[1]
    np.testing.assert_allclose(decode([i.tobytes() for i in stored], gain, 1), audio, atol=3 / 65_536 * 1.01)
