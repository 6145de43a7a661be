"""From streams to batches: windows, augmentation, and remixes that never hold two stems of one song."""

import numpy as np
import pytest
import scipy.stats
import torch

from vsep_ray.config import UserError
from vsep_ray.crops import batches
from vsep_ray.crops.augment import AugmentConfig
from vsep_ray.crops.batches import Window, draw_remix
from vsep_ray.crops.encoding import encode

LENGTH, RATE = 32, 8_000


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


def values_of(clips):
    return np.rint(np.asarray(clips)[:, 0, 0] * 100).astype(int).tolist()


def rng(seed=0):
    return np.random.default_rng(seed)


def test_a_small_stream_is_held_whole_and_read_once():
    passes = []
    window = Window(stream(songs(5), passes=passes), 100, 0, 1)
    names, audio = window.draw(rng(), 200)
    assert audio.shape == (200, 1, LENGTH) and audio.dtype == np.float32
    assert window.whole and len(passes) == 1
    assert set(values_of(audio)) == set(range(5))
    assert all(name == f"song-{value}" for name, value in zip(names, values_of(audio), strict=True))


def test_draws_from_a_whole_stream_do_not_depend_on_the_order_of_arrival():
    one, other = (Window(stream(songs(7), order=o), 100, 0, 1).draw(rng(), 50) for o in (1, -1))
    assert one[0].tolist() == other[0].tolist()


def test_a_large_stream_flows_through_pass_after_pass():
    passes = []
    window = Window(stream(songs(10), passes=passes), 3, 0, 1)
    assert not window.whole
    generator, seen = rng(), set()
    for _ in range(40):
        seen |= set(values_of(window.draw(generator, 2)[1]))
        assert len(window.resident) == 3
    assert seen == set(range(10)) and len(passes) > 5


def test_crops_are_cut_at_random_places():
    ramp = np.linspace(0, 0.9, LENGTH, dtype=np.float32)[None, None]
    pcm, gain = encode(ramp)
    block = {"track": ["a"], "offset": [0], "gain": gain, "audio": [pcm[0].tobytes()]}
    _, audio = Window(lambda: [block], 10, 8, 1).draw(rng(), 100)
    assert audio.shape == (100, 1, 8)
    starts = {round(float(a[0, 0]) * (LENGTH - 1) / 0.9) for a in audio}
    assert starts == set(range(LENGTH - 8 + 1))


def test_an_empty_stream_is_refused():
    with pytest.raises(UserError, match="no crops at all"):
        Window(lambda: [], 10, 0, 1)


def one_clip(channels):
    window = Window(stream(["silent", "audible"], channels), 10, 0, channels)
    window.resident = [row for row in window.resident if row[0] == "audible"]
    return window


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
    monkeypatch.setattr(batches.np, "any", lambda *a, **k: np.zeros(4, bool))  # a blind search for clashes
    with pytest.raises(AssertionError, match="two stems of one song"):
        draw_remix(remix_windows(["a"], ["a"]), rng(), 4, AugmentConfig(), RATE)


def members(**sizes):
    """A stream whose members have rows of these numbers, of one song each."""

    def one_pass():
        for name, size in sizes.items():
            (block,) = stream([name])()
            rows = {key: np.repeat(np.asarray(value, object), size) for key, value in block.items()}
            yield {**rows, "member": np.array([name] * size, object)}

    return one_pass


@pytest.mark.parametrize(
    ("weights", "shares"),
    [
        ({"a": 1.0, "b": 2.0, "c": 1.0}, (0.25, 0.5, 0.25)),
        (
            {"a": 1.0, "b": 2.0, "c": 1.0, "elsewhere": 9.0},
            (0.25, 0.5, 0.25),
        ),  # a source lacks it
        ({}, (0.05, 0.2, 0.75)),
    ],
)
def test_members_are_drawn_by_their_weights_else_by_their_size(weights, shares):
    window = Window(members(a=5, b=20, c=75), 1_000, 0, 1, weights)
    names, _ = window.draw(rng(), 4_000)
    counts = [int((names == name).sum()) for name in "abc"]
    assert scipy.stats.chisquare(counts, 4_000 * np.array(shares)).pvalue > 0.01
    rows = Window(members(a=5, b=20, c=75), 1_000, 0, 1, weights)
    for row, number in zip(rows.resident, range(100), strict=True):
        rows.resident[number] = row._replace(track=f"{row.member}{number}")
    counts = np.unique(rows.draw(rng(), 20_000)[0], return_counts=True)
    mine = [count for name, count in zip(*counts, strict=True) if name.startswith("b")]
    assert len(mine) == 20 and scipy.stats.chisquare(mine).pvalue > 0.01


def test_weights_follow_what_is_resident_while_a_stream_flows_through():
    window = Window(members(a=10, b=90), 20, 0, 1, {"a": 1.0, "b": 1.0})
    generator = rng()
    for _ in range(300):
        window.draw(generator, 7)
        assert window.members.tolist() == [row.member for row in window.resident]
        names, _ = window.pick(generator, 50)
        assert set(names) == set(window.members)


def test_equal_draws_without_weights_whether_or_not_a_row_names_its_member():
    plain, named = stream(songs(3)), members(**{f"song-{i}": 1 for i in range(3)})
    drawn = [Window(s, 9, 0, 1).draw(rng(), 30)[0].tolist() for s in (plain, named)]
    assert drawn[0] == drawn[1]


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
