"""What augmentations cost: ``python -m vsep_ray.cluster.benchmark.mixing`` prints a table, without Ray."""

import statistics
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from vsep_ray.batches.augment import AugmentConfig
from vsep_ray.batches.effects import EFFECTS
from vsep_ray.batches.remixing import draw_remix
from vsep_ray.batches.windows import Window
from vsep_ray.crops.encoding import encode

FORMATS = ((16_000, 1, 4), (44_100, 2, 6))
"""Sample rate (Hz), channels and length (s) of the clips."""
SOURCES, ITEMS, SONGS, REPEATS = 5, 8, 16, 5
USUAL: dict[str, Any] = {
    "level_lufs": -23, "level_spread": 9, "gain_db": 6, "polarity": True, "channel_swap": True,
    "silence": 0.15, "extra": (0.2, 0.02), "limiter": 0.5, "align": 0.5, **dict.fromkeys(EFFECTS, 0.3),
}  # fmt: skip
"""Everything at once, as training may have it."""
ALWAYS = USUAL | {"extra": (1.0,), "limiter": 1.0, "align": 1.0, **dict.fromkeys(EFFECTS, 1.0)}
"""In every clip, to know what one costs."""


def table() -> Iterator[str]:
    """Yields the lines of a table: CPU milliseconds per clip of a remix of five sources, above what it costs
    to draw it as it is.

    In the row of an augmentation every clip has it; the last one has them all, each as often as is usual.
    """
    yield f"| | {' | '.join(f'{s} s, {rate} Hz, {c} ch' for rate, c, s in FORMATS)} |"
    yield "|---" * (1 + len(FORMATS)) + "|"
    windows = [_windows(*format_) for format_ in FORMATS]
    for _ in range(2):  # the first pass over memory is slower
        plain = [_milliseconds(w, AugmentConfig(), f[0]) for w, f in zip(windows, FORMATS, strict=True)]
    yield _row("drawn as it is", plain)
    for name, augment in _alone().items():
        found = [_milliseconds(w, augment, f[0]) for w, f in zip(windows, FORMATS, strict=True)]
        yield _row(name, [f - p for f, p in zip(found, plain, strict=True)])


def _alone() -> dict[str, AugmentConfig]:
    alone = {name: AugmentConfig(**{name: value}) for name, value in ALWAYS.items()}
    return alone | {"all, as often as usual": AugmentConfig(**USUAL)}


def _windows(sample_rate: int, channels: int, seconds: int) -> list[Window]:
    shape = (SONGS, channels, sample_rate * seconds)
    return [
        _window(np.random.default_rng(k).normal(0, 0.1, shape).astype(np.float32)) for k in range(SOURCES)
    ]


def _window(clips: np.ndarray) -> Window:
    pcm, gain = encode(clips)
    names = np.array([f"song {i}" for i in range(len(clips))], object)
    block: dict[str, Any] = {"track": names, "offset": np.zeros(len(clips), int), "gain": gain}
    return Window(lambda: [block | {"audio": [p.tobytes() for p in pcm]}], len(clips), 0, clips.shape[1])


def _milliseconds(windows: list[Window], augment: AugmentConfig, sample_rate: int) -> float:
    rng = np.random.default_rng(0)
    draw_remix(windows, rng, ITEMS, augment, sample_rate)  # imports, and descriptions of clips
    found = []
    for _ in range(REPEATS):
        before = time.process_time()
        draw_remix(windows, rng, ITEMS, augment, sample_rate)
        found.append(time.process_time() - before)
    return 1_000 * statistics.median(found) / (ITEMS * SOURCES)


def _row(name: str, values: list[float]) -> str:
    return f"| {name} | {' | '.join(f'{v:.1f}' for v in values)} |"


if __name__ == "__main__":
    for line in table():
        print(line, flush=True)
