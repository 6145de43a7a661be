"""MIDI files are read with their times in seconds, tolerantly, and damage is named."""

import io
import random
from pathlib import Path

import numpy as np
import pytest
from soundfonts import write_song

from vsep_ray.audio.formats import AudioError
from vsep_ray.music.score import LONGEST_HANGING, PITCH, Control, Note, Score, busiest, read

mido = pytest.importorskip("mido", reason="the extra midi is not installed: pip install -e '.[midi]'")


def on(key, time=0, velocity=90, channel=0):
    return mido.Message("note_on", note=key, time=time, velocity=velocity, channel=channel)


def off(key, time=0, channel=0):
    return mido.Message("note_off", note=key, time=time, channel=channel)


def control(number, value, time=0):
    return mido.Message("control_change", control=number, value=value, time=time)


def content(*tracks, beat=480, kind=1):
    file = mido.MidiFile(ticks_per_beat=beat, type=kind)
    file.tracks += [mido.MidiTrack(t) for t in tracks]
    stream = io.BytesIO()
    file.save(file=stream)
    return stream.getvalue()


def test_times_follow_the_tempo_of_all_tracks():
    tempi = [mido.MetaMessage("set_tempo", tempo=250_000, time=480)]
    score = read(content(tempi, [on(60), off(60, 960), on(62, 0, channel=3), off(62, 480, channel=3)]))
    assert score.notes == (Note(0, 0.75, 0, 0, 60, 90), Note(0.75, 1.0, 3, 0, 62, 90))
    assert score.seconds == 1.0


def test_times_are_those_of_mido(tmp_path):
    rng = random.Random(0)
    tracks = [
        [
            mido.MetaMessage("set_tempo", tempo=rng.randrange(10**5, 10**6), time=rng.randrange(999))
            for _ in range(9)
        ],
        [on(60 + i, rng.randrange(99)) for i in range(30)],
    ]
    made = content(*tracks)
    expected, time = [], 0.0
    for message in mido.MidiFile(file=io.BytesIO(made)):
        time += message.time
        expected += [time] if message.type == "note_on" else []
    np.testing.assert_allclose([n.start for n in read(made).notes], expected, rtol=1e-12)


def test_programs_and_controls_hold_for_what_comes_after():
    change = mido.Message("program_change", program=33)
    bend = mido.Message("pitchwheel", pitch=-512, time=480)
    score = read(content([on(60), change, on(62), off(60, 480), control(7, 99), bend, off(62)]))
    assert [(n.key, n.program) for n in score.notes] == [(60, 0), (62, 33)]
    assert score.controls == (Control(0.5, 0, 7, 99), Control(1.0, 0, PITCH, -512))


def test_banks_effects_and_modes_are_passed_over():
    numbers = (0, 32, 91, 93, 121, 126)
    assert read(content([on(60), *(control(n, 1) for n in numbers), off(60, 9)])).controls == ()


def test_a_note_ends_when_it_is_struck_again_or_all_end_or_after_some_seconds():
    score = read(content([on(60), on(60, 480), on(62), control(123, 0, 480), on(64), on(65, 48_000)]))
    ends = {(n.key, n.start): n.end for n in score.notes}
    assert ends[60, 0.0] == 0.5 and ends[60, 0.5] == ends[62, 0.5] == 1.0
    assert ends[64, 1.0] == 1.0 + LONGEST_HANGING and ends[65, 51.0] == 51.0


def test_values_out_of_range_are_clipped(tmp_path):
    made = bytearray(content([on(60), off(60, 480)]))
    made[made.index(b"\x90\x3c\x5a") + 2] = 0xFF
    assert read(bytes(made)).notes[0].velocity == 127


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (b"", "empty"),
        (b"this is no music at all, but a text", "no MIDI file"),
        (b"MThd\0\0\0\6\0\1\0\1\1\xe0", "damaged"),
        (bytes(1_000), "no MIDI file"),
        (content([control(7, 1)]), "no notes"),
        (content([on(60), off(60, 9)], kind=2), "songs of their own"),
    ],
)
def test_what_cannot_be_read_is_named(made, words):
    with pytest.raises(AudioError, match=words) as caught:
        read(made)
    assert caught.value.stage == "decode"


def test_damage_anywhere_is_an_audio_error_or_music(tmp_path):
    whole = Path(write_song(tmp_path / "song.mid")).read_bytes()
    rng, refused = random.Random(1), 0
    for _ in range(600):
        made = bytearray(whole[: rng.randrange(1, len(whole) + 1)])
        for _ in range(rng.randrange(4)):
            made[rng.randrange(len(made))] = rng.randrange(256)
        try:
            assert read(bytes(made)).notes
        except AudioError as error:
            assert error.stage == "decode"
            refused += 1
    assert 300 < refused < 600
    with pytest.raises(AudioError, match="damaged"):
        read(whole[:-20])


def test_an_excerpt_starts_where_most_parts_play():
    def play(start, end):
        return [Note(t, t + 1, 0, 0, 60, 90) for t in range(start, end)]

    parts = {"bass": play(0, 100), "drums": play(40, 60), "piano": play(45, 80), "other": []}
    starts = {busiest(parts, 10, random.Random(i)) for i in range(40)}
    assert starts <= set(map(float, range(40, 57))) and len(starts) > 3
    assert busiest(parts, 200, random.Random(0)) == busiest({}, 10, random.Random(0)) == 0
    assert Score(()).seconds == 0
