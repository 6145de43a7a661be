"""Windows over streams of crops: held whole or flowing through, and drawn from."""

import numpy as np
import pytest
import scipy.stats
from streams_of_crops import LENGTH, songs, stream

from vsep_ray.batches.windows import DRAWS_OF_A_ROW, Window
from vsep_ray.config import UserError
from vsep_ray.crops.encoding import encode


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
    for _ in range(160):
        seen |= set(values_of(window.draw(generator, 2)[1]))
        assert len(window.resident) == 3
    assert seen == set(range(10)) and len(passes) > 5


@pytest.mark.parametrize("num", [1, 3, 4, 10])
def test_a_row_in_so_many_draws_is_replaced(num):
    """Else reading and unpacking would take longer than all that is done to a crop."""
    window, generator = Window(stream(songs(50)), 20, 0, 1), rng()
    first = list(window.resident)
    for _ in range(3 * DRAWS_OF_A_ROW):
        window.draw(generator, num)
    left = [row for row in first if row in window.resident]
    assert left == first[3 * num :]


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
