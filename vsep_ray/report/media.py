"""Audio and spectrograms as data URIs, so that a page needs nothing but itself."""

import base64
import io
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import adaptive_avg_pool2d

from vsep_ray.audio.io import BLOCK
from vsep_ray.transforms.stft import stft

WAV_SECONDS = 2.0  # shorter clips are wav: lossless, and no codec delay where every millisecond shows
IMAGE = (96, 400)  # rows and columns of a spectrogram, at most
RANGE_DB = 80.0
LOWEST = 1e-6


@dataclass(frozen=True)
class Clip:
    """One sound of a listening page.

    Attributes:
        track: the track's id.
        name: what is heard: ``mixture`` or a source.
        method: ``mixture``, ``reference``, or what made it, such as a contender's name. All sounds of a track
            play together, and at first the mixture alone is heard.
        audio: (C, T), full scale +-1.
        sample_rate: Hz.
    """

    track: str
    name: str
    method: str
    audio: np.ndarray
    sample_rate: int


def audio_uri(clip: Clip, gain: float) -> str:
    """Returns the sound, times a gain, as a data URI: 16-bit wav if it is short, else Ogg Vorbis."""
    import soundfile

    frames = np.clip(gain * clip.audio.T, -1, 1)
    short = len(frames) <= WAV_SECONDS * clip.sample_rate
    kind = {"format": "WAV", "subtype": "PCM_16"} if short else {"format": "OGG", "subtype": "VORBIS"}
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", clip.sample_rate, clip.audio.shape[0], **kind) as file:
        for start in range(0, len(frames), BLOCK):  # libsndfile's Vorbis encoder overflows on long writes
            file.write(frames[start : start + BLOCK])
    return _uri(buffer.getvalue(), "audio/wav" if short else "audio/ogg")


def spectrogram_uri(clip: Clip) -> str:
    """Returns the log-magnitude spectrogram of the channels' mean as a PNG data URI, low tones below."""
    from matplotlib import image

    signal = torch.from_numpy(clip.audio.mean(0))
    size = min(1024, max(64, 1 << (len(signal) // 8).bit_length()))
    power = stft(signal, size, size // 4).abs().square()
    rows, columns = (min(most, there) for most, there in zip(IMAGE, power.shape, strict=True))
    level = 10 * np.log10(adaptive_avg_pool2d(power[None], (rows, columns))[0].numpy() + LOWEST**2)
    low, high = level.max() - RANGE_DB, level.max() + 1e-3
    buffer = io.BytesIO()
    image.imsave(buffer, level[::-1], format="png", cmap="magma", vmin=low, vmax=high)
    return _uri(buffer.getvalue(), "image/png")


def _uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
