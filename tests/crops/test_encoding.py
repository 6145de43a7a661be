"""16-bit PCM: sample-exact, never clipped."""

import numpy as np
import pytest

from vsep_ray.crops.encoding import activity, decode, encode, level_db, pack, unpack

RNG = np.random.default_rng(0)


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


@pytest.mark.parametrize("encoding", ["pcm", "flac"])
@pytest.mark.parametrize("channels", [1, 2])
def test_what_is_packed_comes_back(encoding, channels):
    pcm = RNG.integers(-32_768, 32_768, (500, channels)).astype("<i2")
    assert unpack(pack(pcm, encoding, 44_100), encoding) == pcm.tobytes()


def test_silence_comes_back_in_any_shape():
    for shape in [(500, 2), (300, 1), (500, 2)]:
        assert unpack(pack(np.zeros(shape, "<i2"), "flac", 44_100), "flac") == bytes(2 * shape[0] * shape[1])


def test_flac_takes_fewer_bytes_of_what_can_be_predicted():
    pcm = np.rint(9_000 * np.sin(np.arange(8_000) / 30)).astype("<i2")[:, None]
    assert len(pack(pcm, "flac", 8_000)) < len(pack(pcm, "pcm", 8_000)) / 2


def test_activity_is_the_share_of_frames_that_sound():
    crops = np.zeros((2, 1, 1_700))  # four frames of 400 samples at 8 kHz, and a rest
    crops[0, :, 500:600] = 0.1
    crops[1, :, :1_200] = 0.1
    assert activity(crops, 8_000).tolist() == [0.25, 0.75]
    assert activity(crops[:, :, 500:510], 8_000).tolist() == [1, 1]
    np.testing.assert_allclose(level_db(crops[1:, :, :100]), -20)
