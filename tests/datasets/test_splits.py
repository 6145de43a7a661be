"""No song is in two splits, and every source keeps something to train on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsep_ray.config import UserError
from vsep_ray.datasets.splits import assign
from vsep_ray.datasets.track import Stem, Track

SONGS = st.text("abcdef", min_size=1, max_size=3)
CLIPS = st.lists(st.tuples(SONGS, st.sampled_from(["drums", "bass", "vocals"])), min_size=1, max_size=40)


def clips(pairs):
    return [Track(song, stems=(Stem(source, (f"{source}/{song}.wav",)),)) for song, source in pairs]


@given(CLIPS, st.floats(0, 0.5), st.floats(0, 0.49))
def test_no_song_leaks_and_no_source_is_left_without_training_material(pairs, valid, test):
    made = assign(clips(pairs), valid, test)
    assert [t.id for t in made] == [song for song, _ in pairs]
    by_song = {}
    for track in made:
        assert by_song.setdefault(track.id, track.split) == track.split
    for source in {source for _, source in pairs}:
        assert any(t.split == "train" for t in made if t.stems[0].source == source)


def test_a_song_keeps_its_split_when_others_come_and_go():
    many = clips([(f"song {i}", "drums") for i in range(400)])
    splits = {t.id: t.split for t in assign(many, 0.1, 0.2)}
    assert {t.id: t.split for t in assign(many[:200], 0.1, 0.2)}.items() <= splits.items()
    shares = [list(splits.values()).count(s) / 400 for s in ("train", "valid", "test")]
    assert shares == pytest.approx([0.7, 0.1, 0.2], abs=0.06)


@pytest.mark.parametrize("fractions", [(-0.1, 0), (0.5, 0.5), (0, 1)])
def test_fractions_must_leave_something_to_train_on(fractions):
    with pytest.raises(UserError, match="valid-fraction"):
        assign(clips([("a", "drums")]), *fractions)
