"""Streams of crops for tests: blocks of rows without a store."""

import numpy as np

from vsep_ray.crops.encoding import encode

LENGTH = 32


def stream(tracks, channels=1, length=LENGTH, passes=None, order=1):
    """Blocks of two rows; a clip is its track's index / 100 throughout, negated in the right channel."""

    def one_pass():
        if passes is not None:
            passes.append(1)
        rows = list(enumerate(tracks))[::order]
        for start in range(0, len(rows), 2):
            block = rows[start : start + 2]
            values = np.array([index / 100 for index, _ in block], np.float32)[:, None, None]
            audio = np.tile(values, (1, channels, length)) * np.array([1, -1])[:channels, None]
            pcm, gain = encode(audio)
            yield {
                "track": np.array([name for _, name in block], object),
                "offset": np.zeros(len(block), int),
                "gain": gain,
                "audio": np.array([p.tobytes() for p in pcm], object),
            }

    return one_pass


def songs(num, prefix="song"):
    return [f"{prefix}-{i}" for i in range(num)]
