"""What tests ask of a crop store."""

import numpy as np

from vsep_ray.crops.reading import read_crops


def read_paired(store, split):
    """Aligned crops of all K sources, in the order of (track, offset): song ids, float32 (N, K, C, T)."""
    crops = [read_crops(store, split, source) for source in store.sources]
    for other in crops[1:]:
        assert other.track == crops[0].track and np.array_equal(other.offset, crops[0].offset)
    return crops[0].track, np.stack([c.audio for c in crops], axis=1)
