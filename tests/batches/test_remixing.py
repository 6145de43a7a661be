"""From windows to batches: remixes that never hold two stems of one song."""

import numpy as np
import pytest
import torch
from streams_of_crops import LENGTH, songs, stream

from vsep_ray.batches import remixing
from vsep_ray.batches.augment import AugmentConfig
from vsep_ray.batches.remixing import draw_remix
from vsep_ray.batches.windows import Window
from vsep_ray.config import UserError

RATE = 8_000


def values_of(clips):
    return np.rint(np.asarray(clips)[:, 0, 0] * 100).astype(int).tolist()


def rng(seed=0):
    return np.random.default_rng(seed)


def remix_windows(*tracks):
    return [Window(stream(t), 100, 0, 1) for t in tracks]


def test_a_remix_has_one_clip_per_source_and_is_decided_by_its_seed():
    windows = remix_windows(songs(6), songs(6), songs(6))
    remix = draw_remix(windows, rng(), 64, AugmentConfig(), RATE)
    assert remix.shape == (64, 3, 1, LENGTH)
    assert torch.equal(
        remix, draw_remix(remix_windows(songs(6), songs(6), songs(6)), rng(), 64, AugmentConfig(), RATE)
    )
    assert not torch.equal(remix, draw_remix(windows, rng(1), 64, AugmentConfig(), RATE))


def test_no_remix_holds_two_stems_of_one_song():
    windows = remix_windows(songs(4), songs(4), songs(4))
    for seed in range(20):
        values = (draw_remix(windows, rng(seed), 50, AugmentConfig(), RATE)[:, :, 0, 0] * 100).round().int()
        assert all(len(set(item.tolist())) == 3 for item in values)


def test_longer_names_are_told_apart_from_their_beginnings():
    """Redrawn names must not be cut to the width of the first ones: 'ab' and 'abc' are different songs."""
    names = [["a", "song-10"], ["a", "song-10", "song-1"], ["a", "song-10", "song-100", "song-1"]]
    for seed in range(50):
        windows = remix_windows(*names)
        drawn = [w.draw(rng(seed), 1)[0] for w in windows]
        assert all(n.dtype == object for n in drawn)
        remix = draw_remix(windows, rng(seed), 3, AugmentConfig(), RATE)
        indices = (remix[:, :, 0, 0] * 100).round().int().tolist()
        assert all(len({names[k][i] for k, i in enumerate(item)}) == 3 for item in indices)


def test_sources_that_share_their_only_song_cannot_be_remixed():
    with pytest.raises(UserError, match="different songs"):
        draw_remix(remix_windows(["a"], ["a"]), rng(), 4, AugmentConfig(), RATE)


def test_the_assertion_itself_catches_two_stems_of_one_song(monkeypatch):
    monkeypatch.setattr(remixing.np, "any", lambda *a, **k: np.zeros(4, bool))  # a blind search for clashes
    with pytest.raises(AssertionError, match="two stems of one song"):
        draw_remix(remix_windows(["a"], ["a"]), rng(), 4, AugmentConfig(), RATE)


def test_workers_take_equally_many_rows_of_divided_streams_however_often_songs_clash():
    def taken(seed):
        windows = [Window(counted(stream(songs(12) * 40)), 20, 0, 1) for _ in range(3)]
        generator = rng(seed)
        for _ in range(15):
            draw_remix(windows, generator, 8, AugmentConfig(), RATE)
        return [window.stream.rows for window in windows]

    def counted(one_pass):
        def count():
            for block in one_pass():
                count.rows += len(block["track"])
                yield block

        count.rows = 0
        return count

    assert taken(0) == taken(1) == taken(2)
