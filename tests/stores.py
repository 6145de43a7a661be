"""Crop stores for tests: one of noise, and what tests ask of a store."""

import numpy as np

from vsep_ray.crops.reading import read_crops
from vsep_ray.crops.store import CropStore
from vsep_ray.crops.writing import UNIT_BYTES, begin, divide, finish, write_unit
from vsep_ray.datasets.track import Stem, Track

SOURCES = ("bass", "drums")


def noise_store(uri, *, paired=True, encoding="pcm", length=64):
    """Twelve songs of two crops of white noise, 8 kHz, mono; each source's the same on every call."""
    stems = tuple(Stem(s, (s,)) for s in SOURCES)
    tracks = [Track(f"t{i:02d}", stems=stems, split="train") for i in range(12)]
    layout = CropStore(
        str(uri), "stems", 8_000, 1, length, SOURCES, (1.0, 1.0), paired, "abc", encoding=encoding
    )
    begin(layout, fresh=False)
    rng = np.random.default_rng(0)

    def open_track(track):
        pieces = {s: rng.uniform(-0.5, 0.5, (2, 1, length)).astype(np.float32) for s in SOURCES}
        return {s: iter(p) for s, p in pieces.items()}

    units = divide(tracks, [UNIT_BYTES] * len(tracks))
    return finish(layout, [write_unit(layout, unit, open_track) for unit in units], "")


def read_paired(store, split):
    """Aligned crops of all K sources, in the order of (track, offset): song ids, float32 (N, K, C, T)."""
    crops = [read_crops(store, split, source) for source in store.sources]
    for other in crops[1:]:
        assert other.track == crops[0].track and np.array_equal(other.offset, crops[0].offset)
    return crops[0].track, np.stack([c.audio for c in crops], axis=1)
