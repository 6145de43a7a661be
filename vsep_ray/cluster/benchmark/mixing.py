"""What every augmentation costs: ``python -m vsep_ray.cluster.benchmark.mixing`` prints a table, without Ray."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from vsep_ray.crops.augment import AugmentConfig
from vsep_ray.crops.batches import Window, draw_remix
from vsep_ray.crops.effects import EFFECTS
from vsep_ray.crops.encoding import encode

FORMATS = ((16_000, 1, 4), (44_100, 2, 6))
"""Sample rate (Hz), channels and length (s) of the clips."""
SOURCES, ITEMS, SONGS, REPEATS = 5, 8, 16, 3
ALL = AugmentConfig(
    -23, 9, 6, polarity=True, channel_swap=True, silence=0.15, extra=(0.2, 0.02), limiter=0.5, align=0.5,
    **dict.fromkeys(EFFECTS, 0.3),
)  # fmt: skip
ON = AugmentConfig(extra=(1.0,), limiter=1, align=1, **dict.fromkeys(EFFECTS, 1.0))


def table() -> Iterator[str]:
    """Yields the lines of a table: CPU milliseconds per clip of a remix of five sources, above what it costs
    to draw it as it is.

    Each effect, the limiter and the extra clip are on in every clip there; the row ``all`` has everything at
    once, with probabilities such as training takes.
    """
    yield f"| | {' | '.join(f'{s} s, {rate} Hz, {"stereo" if c == 2 else "mono"}' for rate, c, s in FORMATS)} |"
    yield "|---" * (1 + len(FORMATS)) + "|"
    windows = [_windows(*format_) for format_ in FORMATS]
    plain = [_milliseconds(w, AugmentConfig(), f[0]) for w, f in zip(windows, FORMATS, strict=True)]
    yield _row("drawn as it is", plain)
    for name, augment in _alone().items():
        found = [_milliseconds(w, augment, f[0]) for w, f in zip(windows, FORMATS, strict=True)]
        yield _row(name, [f - p for f, p in zip(found, plain, strict=True)])


def _alone() -> Mapping[str, AugmentConfig]:
    names = [f.name for f in fields(AugmentConfig)]
    on = {n: getattr(ON, n) or getattr(ALL, n) for n in names}
    return {n: AugmentConfig(**{n: on[n]}) for n in names} | {"all": ALL}


def _windows(sample_rate: int, channels: int, seconds: int) -> list[Window]:
    shape = (SONGS, channels, sample_rate * seconds)
    return [_window(np.random.default_rng(k).normal(0, 0.1, shape).astype(np.float32)) for k in range(SOURCES)]


def _window(clips: np.ndarray) -> Window:
    pcm, gain = encode(clips)
    names = np.array([f"song {i}" for i in range(len(clips))], object)
    block: dict[str, Any] = {"track": names, "offset": np.zeros(len(clips), int), "gain": gain}
    return Window(lambda: [block | {"audio": [p.tobytes() for p in pcm]}], len(clips), 0, clips.shape[1])


def _milliseconds(windows: list[Window], augment: AugmentConfig, sample_rate: int) -> float:
    rng = np.random.default_rng(0)
    draw_remix(windows, rng, ITEMS, augment, sample_rate)  # imports, and descriptions of clips
    before = time.process_time()
    for _ in range(REPEATS):
        draw_remix(windows, rng, ITEMS, augment, sample_rate)
    return 1_000 * (time.process_time() - before) / (REPEATS * ITEMS * SOURCES)


def _row(name: str, values: list[float]) -> str:
    return f"| {name} | {' | '.join(f'{v:.1f}' for v in values)} |"


if __name__ == "__main__":
    for line in table():
        print(line, flush=True)
