"""A recording is known again whatever was done to it, and taken for no other."""

import io

import numpy as np
import pytest
import soundfile
from stores import tune

from vsep_ray.audio.resampling import resample
from vsep_ray.crops.landmarks import NOTHING, landmarks, likenesses

RATE = 16_000
SECONDS = 12


def found(one, other, rate=RATE):
    return likenesses([landmarks(one, rate)], [landmarks(other, rate)])


def mp3(audio):
    file = io.BytesIO()
    soundfile.write(file, audio, RATE, format="MP3", compression_level=0.9)
    file.seek(0)
    return soundfile.read(file, dtype="float32")[0]


CHANGES = {
    "quieter": lambda a: 0.05 * a,
    "resampled": lambda a: resample(resample(a[None], RATE, 11_025), 11_025, RATE)[0],
    "coded": mp3,
    "begun elsewhere": lambda a: a[round(1.234 * RATE) :],
    "among others": lambda a: a + 0.3 * tune(99, SECONDS, RATE)[0],
    "only a part": lambda a: a[4 * RATE : 10 * RATE],
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_recording_is_known_again(change):
    audio = tune(0, SECONDS, RATE)[0]
    (like,) = found(audio, CHANGES[change](audio).astype(np.float32))
    assert (like.one, like.other) == (0, 0) and like.share > 0.12


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_the_sample_rate_does_not_matter(rate):
    audio = tune(0, SECONDS, rate)[0]
    assert found(audio, audio[round(1.5 * rate) :], rate)


def test_other_tunes_of_one_kind_are_others():
    ones, others = (
        [landmarks(tune(s, SECONDS, RATE)[0], RATE) for s in seeds] for seeds in ((0, 1), (2, 3, 1))
    )
    assert [(like.one, like.other) for like in likenesses(ones, others)] == [(1, 2)]


def test_a_loop_does_not_make_another_song_of_it():
    """Two drum tracks of the same samples in other rhythms."""
    hit = np.random.default_rng(0).normal(size=RATE // 5) * np.exp(-np.arange(RATE // 5) / 800)

    def rhythm(seed):
        audio = np.zeros(SECONDS * RATE, np.float32)
        for start in np.cumsum(np.random.default_rng(seed).uniform(0.25, 0.6, 18)):
            audio[round(start * RATE) :][: len(hit)] += 0.2 * hit[: len(audio) - round(start * RATE)]
        return audio

    assert found(rhythm(1), rhythm(1)) and not found(rhythm(1), rhythm(2))


def test_silence_and_what_is_shorter_than_a_window_have_no_landmarks():
    for audio in (np.zeros(5 * RATE, np.float32), np.ones(100, np.float32), np.zeros(0, np.float32)):
        assert len(landmarks(audio, RATE).words) == 0
    assert likenesses([NOTHING], [landmarks(tune(0, SECONDS, RATE)[0], RATE)]) == []
    assert likenesses([landmarks(tune(0, SECONDS, RATE)[0], RATE)], []) == []
