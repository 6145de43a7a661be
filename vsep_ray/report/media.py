"""Audio and spectrograms as data URIs, so that a page needs nothing but itself."""

import base64
import tempfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vsep_ray.audio import io
from vsep_ray.crops.encoding import SILENCE_DB, level_db
from vsep_ray.survey.features import power_of, windows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WAV_SECONDS = 2.0  # shorter clips are wav: lossless, and no codec delay where every millisecond shows
IMAGE = (96, 400)  # rows and columns of a spectrogram, at most
RANGE_DB = 80.0
LOWEST = 1e-6
QUIET_DB = -20.0
"""The brightest colour of a spectrogram stands for this level or a higher one, so that soft noise stays dark:
sines of a hundredth of full scale have it."""


@dataclass(frozen=True)
class Clip:
    """One sound of a listening page.

    Attributes:
        track: the track's id.
        name: what is heard: ``mixture`` or a source.
        method: ``mixture``, ``reference``, or what made it, such as a contender's name. All sounds of a track
            play together, and at first the first alone is heard, which is the mixture.
        audio: (C, T), full scale +-1.
        sample_rate: Hz.
    """

    track: str
    name: str
    method: str
    audio: np.ndarray
    sample_rate: int


def audio_uri(clip: Clip, gain: float, lossless_seconds: float = WAV_SECONDS) -> str:
    """Returns the sound, times a gain, as a data URI: 16-bit wav if it is short, else Ogg Vorbis. The same
    sound gives the same bytes.
    """
    short = clip.audio.shape[1] <= lossless_seconds * clip.sample_rate
    format, subtype = ("wav", "16") if short else ("ogg", "auto")
    audio = np.clip(gain * clip.audio, -1, 1).astype(np.float32)
    with tempfile.NamedTemporaryFile() as file:
        io.write(file.name, audio, clip.sample_rate, format=format, subtype=subtype)
        content = Path(file.name).read_bytes()
    return _uri(content, "audio/wav" if short else "audio/ogg")


def is_silent(clip: Clip) -> bool:
    """Returns whether the RMS is below -60 dB re full scale, as of references without a score."""
    return not clip.audio.size or bool(level_db(clip.audio) < SILENCE_DB)


def spectrogram_uri(clip: Clip) -> str:
    """Returns the log-magnitude spectrogram of the channels' mean as a PNG data URI, low tones below; it is
    empty where the sound is silent.
    """
    from matplotlib import image

    signal = clip.audio.mean(0)
    size = min(1024, max(64, 1 << (len(signal) // 8).bit_length()))
    power = power_of(windows(np.pad(signal, size // 2), size, size // 4)).T / size
    for axis, most in enumerate(IMAGE):
        power = _pooled(power, most, axis)
    level = 10 * np.log10(power + LOWEST**2)
    high = np.inf if is_silent(clip) else max(QUIET_DB, float(level.max()))
    shade = np.clip(1 + (level[::-1] - high) / RANGE_DB, 0, 1)
    buffer = BytesIO()
    image.imsave(buffer, shade, format="png", cmap="magma", vmin=0, vmax=1)
    return _uri(buffer.getvalue(), "image/png")


def figure_uri(figure: "Figure") -> str:
    """Returns a figure as a PNG data URI, transparent, with two pixels for each of the page."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=160, transparent=True)
    return _uri(buffer.getvalue(), "image/png")


def _pooled(values: np.ndarray, most: int, axis: int) -> np.ndarray:
    """Returns means of neighbours, ``most`` along an axis, or all of them where there are fewer."""
    there = values.shape[axis]
    edges = np.linspace(0, there, min(most, there), endpoint=False).astype(int)
    counts = np.diff(edges, append=there)
    return np.add.reduceat(values, edges, axis) / np.expand_dims(counts, 1 - axis)


def _uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
