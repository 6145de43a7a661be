"""Crop stores as training reads them: every pass in another order, shards without overlap, all of it."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import ray.data
from stores import noise_store, read_paired

from vsep_ray.cluster.train.task import StreamSpec
from vsep_ray.crops.encoding import decode
from vsep_ray.crops.reading import PAIRED, read_crops

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module", params=["pcm", "flac"])
def store(request, ray_session, tmp_path_factory):
    options = ray.data.DataContext.get_current().execution_options
    options.preserve_order = True
    yield noise_store(tmp_path_factory.mktemp("store"), encoding=request.param)
    options.preserve_order = False


def rows(dataset):
    batches = dataset.iter_batches(batch_size=5, batch_format="numpy")
    return [(t, int(o)) for batch in batches for t, o in zip(batch["track"], batch["offset"], strict=True)]


def test_a_pass_holds_every_crop_as_it_was_stored(store):
    crops = read_crops(store, "train", "drums")
    expected = dict(zip(zip(crops.track, crops.offset.tolist(), strict=True), crops.audio, strict=True))
    seen = []
    dataset = StreamSpec(store, "train", "drums").dataset()
    for batch in dataset.iter_batches(batch_size=7, batch_format="numpy"):
        audio = decode(batch["audio"], batch["gain"], 1)
        for track, offset, samples in zip(batch["track"], batch["offset"], audio, strict=True):
            np.testing.assert_array_equal(samples, expected[track, offset])
            seen.append((track, offset))
    assert sorted(seen) == sorted(expected)


def test_aligned_crops_hold_all_sources_of_one_moment(store):
    _, sources = read_paired(store, "train")
    (batch,) = StreamSpec(store, "train", PAIRED).dataset().iter_batches(batch_size=99, batch_format="numpy")
    order = np.lexsort((batch["offset"], batch["track"]))
    audio = decode(batch["audio"], batch["gain"], 2)[order]
    np.testing.assert_allclose(audio.reshape(sources.shape), sources, atol=1e-6)


def test_two_passes_differ_and_the_same_seed_repeats_them(store):
    def passes(seed):
        dataset = StreamSpec(store, "train", "drums").dataset(seed)
        return [rows(dataset) for _ in range(3)]

    first = passes(1)
    assert passes(1) == first and passes(2) != first
    assert len({tuple(p) for p in first}) == 3
    assert all(sorted(p) == sorted(first[0]) and len(p) == 24 for p in first)


def test_two_workers_see_disjoint_halves_and_together_all(store):
    shards = StreamSpec(store, "train", "bass").dataset(1).streaming_split(2, equal=True)
    for _ in range(2):
        with ThreadPoolExecutor(2) as pool:
            left, right = pool.map(rows, shards)
        assert len(left) == len(right) == 12 and not set(left) & set(right)
        assert len(set(left) | set(right)) == 24
