"""Performances: drawn by seed and song alone, within the bounds asked for, and off at zero."""

import dataclasses
import itertools
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from vsep_ray.config import UserError
from vsep_ray.music.families import KIT_CHANNEL, families
from vsep_ray.music.performance import PerformanceConfig
from vsep_ray.music.score import Control, Note, Score

TABLE = families(("slakh",))
OFF = PerformanceConfig(swap=0, transpose=0, tempo=0, humanise=0, touch=0)
PLACES = ((0, 0), (1, 25), (2, 33), (3, 40), (4, 127), (KIT_CHANNEL, 0))
NOTES = tuple(
    Note(t / 2, t / 2 + 0.5, channel, program, 60 + t % 12, 80)
    for t in range(60)
    for channel, program in PLACES
)
SCORE = Score(NOTES, (Control(1.0, 0, 7, 99),))


def played(song="song", score=SCORE, **fields):
    return dataclasses.replace(OFF, **fields).perform(score, song, TABLE)


def test_all_that_is_off_leaves_the_score_as_it_is():
    assert played() == Score(tuple(sorted(NOTES)), SCORE.controls)


def test_a_song_is_the_same_in_another_process_and_no_other_song_is_like_it():
    code = f"import sys; sys.path[:0] = {[str(Path(__file__).parent)]}\n"
    code += "import test_performance as t; print(t.digest('song'))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == digest("song")
    assert len({digest("song"), digest("song 2"), digest("song", seed=1)}) == 3


def digest(song, **fields):
    return str(PerformanceConfig(**fields).perform(SCORE, song, TABLE))


def test_one_draw_does_not_disturb_another():
    alone, among = played(transpose=5), played(transpose=5, swap=1, touch=9)
    assert [n.key for n in alone.notes] == [n.key for n in among.notes]


def test_instruments_give_way_to_others_of_their_source():
    many = [played(f"{i}", swap=1) for i in range(40)]
    for channel, program in PLACES:
        found = {n.program for score in many for n in score.notes if n.channel == channel}
        assert found <= set(TABLE.alike(channel, program)) and (len(found) > 1) == (program != 127)
    for score in many:
        assert len({(n.channel, n.program) for n in score.notes}) == len(PLACES)
    moved = [played(f"{i}", swap=0.5).notes != played().notes for i in range(20)]
    assert any(moved)


def test_a_key_is_the_same_for_all_but_percussion_and_stays_on_the_keyboard():
    shifts = set()
    for i in range(60):
        notes = played(f"{i}", transpose=3).notes
        assert [n.key for n in notes if n.channel == KIT_CHANNEL] == [
            n.key for n in sorted(NOTES) if n.channel == KIT_CHANNEL
        ]
        (shift,) = {a.key - b.key for a, b in zip(notes, sorted(NOTES), strict=True) if a.channel == 0}
        shifts.add(shift)
    assert shifts == set(range(-3, 4))
    edge = Score((Note(0, 1, 0, 0, 127, 80), Note(0, 1, 1, 0, 0, 80)))
    keys = [n.key for i in range(40) for n in played(f"{i}", edge, transpose=24).notes]
    assert min(keys) >= 0 and max(keys) <= 127
    semitones = {(n.key - 127) % 12 for i in range(40) for n in played(f"{i}", edge, transpose=3).notes[:1]}
    assert semitones == {9, 10, 11, 0, 1, 2, 3}


def test_a_faster_song_is_shorter_and_its_controls_come_earlier():
    paces = []
    for i in range(60):
        score = played(f"{i}", tempo=0.25)
        paces.append(SCORE.seconds / score.seconds)
        assert score.controls[0].time == pytest.approx(1 / paces[-1])
    assert 0.8 <= min(paces) < 0.87 and 1.15 < max(paces) <= 1.25


def test_notes_come_early_and_late_and_louder_and_softer():
    score = played(humanise=20, touch=5)
    late = [a.start - b.start for a, b in zip(by_place(score.notes), by_place(NOTES), strict=True)]
    touch = [a.velocity - b.velocity for a, b in zip(by_place(score.notes), by_place(NOTES), strict=True)]
    assert 0.015 < statistics.stdev(late) < 0.025 and max(map(abs, late)) <= 0.06
    assert 4 < statistics.stdev(touch) < 6 and min(n.start for n in score.notes) >= 0


def by_place(notes):
    return sorted(notes, key=lambda n: (n.channel, round(n.start * 2)))


def test_a_note_ends_where_the_next_of_its_key_starts():
    close = Score(tuple(Note(t, t + 1, 0, 0, 60, 80) for t in range(50)))
    notes = played(score=close, humanise=50).notes
    assert all(a.end <= b.start for a, b in itertools.pairwise(notes))
    assert all(n.end - n.start > 0.5 for n in notes)


@pytest.mark.parametrize("field", ["swap", "transpose", "tempo", "humanise", "touch"])
def test_values_out_of_range_are_refused(field):
    for value in (-1, 1_000):
        with pytest.raises(UserError, match=f"--dataset.{field} must lie between 0 and"):
            dataclasses.replace(OFF, **{field: value}).check()
    OFF.check()
