"""Singing that is made, not recorded: harmonics of a pitch below formants, with vibrato."""

import numpy as np

RATE = 16_000
FORMANTS = (700.0, 1_200.0, 2_600.0)
"""Hz, of an open vowel."""


def course(keys, seconds, rate=RATE, vibrato=0.0):
    """The MIDI key of each sample: some keys one after the other, with a vibrato of 5.5 Hz (semitones)."""
    times = np.arange(round(seconds * rate)) / rate
    held = np.repeat(np.asarray(keys, float), -(-len(times) // len(keys)))[: len(times)]
    return held + vibrato * np.sin(2 * np.pi * 5.5 * times)


def sing(keys=(57,), seconds=1.0, rate=RATE, vibrato=0.0, level=0.1):
    """Samples of a voice. Shape: -> (1, T)."""
    pitch = 440 * 2 ** ((course(keys, seconds, rate, vibrato) - 69) / 12)
    phase, sound = 2 * np.pi * np.cumsum(pitch) / rate, np.zeros(len(pitch))
    for k in range(1, int(rate / 2 / pitch.max())):
        sound += _strength(k * pitch) * np.sin(k * phase)
    fade = np.minimum(1, np.minimum(np.arange(len(sound)), np.arange(len(sound))[::-1]) / (0.02 * rate))
    return (level * fade * sound / np.sqrt(np.mean(sound**2)))[None].astype(np.float32)


def _strength(hz):
    return sum(1 / (1 + ((hz - f) / (0.2 * f)) ** 2) for f in FORMANTS) / np.sqrt(hz)
