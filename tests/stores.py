"""Crop stores for tests: one of noise, and what tests ask of a store."""

import numpy as np

from vsep_ray.audio.resampling import rechunk
from vsep_ray.crops import joining
from vsep_ray.crops.listening import hear, to_hear
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


def tune(seed, seconds=8, rate=8_000):
    """A melody of a seed, (1, T): every quarter of a second a decaying note of four harmonics."""
    rng = np.random.default_rng(seed)
    time = np.arange(rate // 4) / rate
    notes = [
        sum(np.sin(2 * np.pi * hz * k * time) / k for k in range(1, 5)) * np.exp(-6 * time)
        for hz in rng.uniform(100, 700, 4 * seconds)
    ]
    return (0.2 * np.concatenate(notes)).astype(np.float32)[None]


def song_store(uri, songs, *, dataset="stems", length=8_000, paired=True, rate=8_000, **changes):
    """A store of given songs, mono: name -> (split, source -> audio (1, T)).

    Where they are paired each song has all sources."""
    sources = tuple(sorted({s for _, stems in songs.values() for s in stems}))
    values = {"scales": (1.0,) * len(sources), "fingerprint": str(uri), **changes}
    layout = CropStore(str(uri), dataset, rate, 1, length, sources, paired=paired, **values)
    tracks = [
        Track(n, stems=tuple(Stem(s, (f"{n}:{s}",)) for s in a), split=p) for n, (p, a) in songs.items()
    ]
    tracks.sort(key=lambda track: track.split)
    begin(layout, fresh=False)

    def open_track(track):
        return {s: rechunk([audio], length) for s, audio in songs[track.id][1].items()}

    units = divide(tracks, [UNIT_BYTES] * len(tracks))
    return finish(layout, [write_unit(layout, unit, open_track) for unit in units], "")


def joined_store(uri, stores, weights=(), *, drop=False):
    """The stores joined below a folder, without Ray."""
    layout = joining.layout(stores, weights, drop, str(uri))
    heard = [h for which in to_hear(layout, stores) for h in hear(*which)]
    return joining.finish(layout, stores, heard, drop)


def read_paired(store, split):
    """Aligned crops of all K sources, in the order of (track, offset): song ids, float32 (N, K, C, T)."""
    crops = [read_crops(store, split, source) for source in store.sources]
    for other in crops[1:]:
        assert other.track == crops[0].track and np.array_equal(other.offset, crops[0].offset)
    return crops[0].track, np.stack([c.audio for c in crops], axis=1)
