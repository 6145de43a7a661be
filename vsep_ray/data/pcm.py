"""Crops as 16-bit PCM: cutting, encoding, decoding, level."""

from collections.abc import Sequence

import numpy as np

SILENCE_DB = -60.0
"""RMS in dB re full scale below which a crop counts as silent."""
FLOOR_DB = -120.0
"""RMS in dB that stands for digital silence."""


def cut(audio: np.ndarray, length: int) -> np.ndarray:
    """Non-overlapping crops, the last one padded with silence: (C, T) -> (N, C, length), N = ceil(T /
    length)."""
    channels, total = audio.shape
    num = -(-total // length)
    padded = np.pad(audio, ((0, 0), (0, num * length - total)))
    return padded.reshape(channels, num, length).swapaxes(0, 1)


def encode(crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """16-bit PCM and the gain that brings it back: audio = gain * pcm / 32768.

    The gain is 1, so that 16-bit audio comes back sample-exact, unless a crop exceeds full scale and is
    scaled to fit.

    Shape:
        float32 (N, C, T) -> int16 (N, T, C), float32 (N,).
    """
    scaled = crops.astype(np.float64) * 32_768
    high, low = np.rint(scaled.max(axis=(1, 2))), np.rint(scaled.min(axis=(1, 2)))
    gain = np.maximum(1, np.maximum(high / 32_767, -low / 32_768)).astype(np.float32)
    pcm = np.rint(scaled / gain[:, None, None]).clip(-32_768, 32_767)
    return np.ascontiguousarray(pcm.swapaxes(1, 2)).astype("<i2"), gain


def decode(audio: Sequence[bytes] | np.ndarray, gain: np.ndarray, channels: int) -> np.ndarray:
    """The columns ``audio`` and ``gain`` of N rows as float32 (N, C, T); the inverse of `encode` up to
    rounding."""
    if not len(audio):
        return np.zeros((0, channels, 0), np.float32)
    pcm = np.frombuffer(b"".join(audio), "<i2").reshape(len(audio), -1, channels)
    return pcm.swapaxes(1, 2) * (np.asarray(gain, np.float32) / 32_768)[:, None, None]


def level_db(crops: np.ndarray) -> np.ndarray:
    """RMS over channels and time in dB re full scale, at least `FLOOR_DB`: (N, C, T) -> (N,)."""
    power = np.mean(np.square(crops, dtype=np.float64), axis=(1, 2))
    return 10 * np.log10(np.maximum(power, 10 ** (FLOOR_DB / 10)))
