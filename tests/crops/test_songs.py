"""Which tracks of several stores are one song: by name and length, by sound, and what follows."""

import numpy as np
import pytest

from vsep_ray.config import UserError
from vsep_ray.crops.landmarks import NOTHING
from vsep_ray.crops.listening import Heard
from vsep_ray.crops.songs import (
    Known,
    Same,
    held_out_elsewhere,
    plain,
    refuse,
    same_by_name,
    songs_of,
    tracks_of,
)
from vsep_ray.crops.statistics import SourceCount

TOLERANCE = {"a": 6.0, "b": 1.0}


def pairs(*tracks):
    return [(s.one, s.other) for s in same_by_name(tracks, TOLERANCE)]


def test_names_are_equal_whatever_their_case_and_signs():
    one = Known("a", "A Classic Education - NightOwl", "train", 171.0)
    other = Known("b", "rock/AClassicEducation_NightOwl.wav", "test", 177.0)
    assert plain(one.track) == plain(other.track)
    assert pairs(one, other) == [(("a", one.track), ("b", other.track))]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Known("a", "Nightingale", "", 100.0), Known("b", "Nightingale", "", 107.0)),  # other lengths
        (Known("a", "Nightingale", "", 100.0), Known("a", "nightingale", "", 100.0)),  # of one store
        (
            Known("a", "train-000001", "", 100.0),
            Known("b", "train-000001", "", 100.0),
        ),  # names that say nothing
        (Known("a", "kick snare", "", 1.0), Known("b", "kick snare", "", 1.0)),  # one-shots
    ],
)
def test_names_that_prove_nothing(one, other):
    assert pairs(one, other) == []


def test_a_track_is_as_long_as_its_longest_source():
    heard = [
        Heard("a", "train", "p", "song", seconds, SourceCount(source), NOTHING)
        for source, seconds in (("drums", 4.0), ("bass", 6.0), ("other", 5.0))
    ]
    assert tracks_of(heard) == [Known("a", "song", "train", 6.0)]


def test_what_is_the_same_as_a_third_is_one_song():
    tracks = [Known(m, t, "train", 9.0) for m in "abc" for t in "xy"]
    same = [Same(("b", "x"), ("c", "y"), ""), Same(("a", "y"), ("c", "y"), "")]
    songs = songs_of(tracks, same)
    assert [songs[key] for key in (("a", "y"), ("b", "x"), ("c", "y"))] == ["a/y"] * 3
    assert len(set(songs.values())) == 4
    assert songs == songs_of(tracks, same[::-1])


def test_a_song_that_is_held_out_elsewhere_is_refused_by_name():
    tracks = [Known("a", f"song {i}", "train", 9.0) for i in range(7)]
    tracks += [Known("b", f"song {i}", "test" if i else "train", 9.0) for i in range(7)]
    same = [Same(("a", f"song {i}"), ("b", f"song {i}"), "sound of drums") for i in range(7)]
    leaks = held_out_elsewhere(tracks, songs_of(tracks, same))
    assert list(leaks) == [("a", f"song {i}") for i in range(1, 7)]
    with pytest.raises(UserError) as refused:
        refuse(leaks, same)
    words = str(refused.value)
    assert words.startswith("6 tracks") and "--duplicates drop" in words and "and 1 more" in words
    assert "a/song 1 is b/song 1 of split test (by sound of drums)" in words
    assert "song 6" not in words
    refuse({}, same)


def test_songs_do_not_depend_on_the_order_of_what_was_found():
    rng = np.random.default_rng(0)
    tracks = [Known(m, str(i), "train", 9.0) for m in "abc" for i in range(20)]
    same = [
        Same(("a", str(i)), ("bc"[k], str(j)), "")
        for i, j, k in zip(*rng.integers(0, 20, (2, 15)), rng.integers(0, 2, 15), strict=True)
    ]
    shuffled = [same[i] for i in rng.permutation(len(same))]
    assert songs_of(tracks, same) == songs_of(tracks, shuffled)
