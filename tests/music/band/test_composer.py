"""The composer: the same song anywhere, notes that can be played, and of music what can be counted."""

import io
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import pytest

from vsep_ray.music.band.composer import compose, style_of, write
from vsep_ray.music.band.performance import TICKS, to_midi
from vsep_ray.music.band.pitches import compass
from vsep_ray.music.band.styles import STYLES

mido = pytest.importorskip("mido")
SEEDS = range(60)
FAMILIES = ("drums", "bass", "piano", "guitar", "other")


def family(channel, program):
    if channel == 9:
        return "drums"
    return {0: "piano", 3: "guitar", 4: "bass"}.get(program // 8, "other")


def saved(midi):
    file = io.BytesIO()
    midi.save(file=file)
    return file.getvalue()


@pytest.fixture(scope="module")
def songs():
    return {seed: write(seed, 60) for seed in SEEDS}


@pytest.fixture(scope="module")
def files(songs):
    """Each song as another program would read it."""
    return {seed: mido.MidiFile(file=io.BytesIO(saved(to_midi(song)))) for seed, song in songs.items()}


def notes(track):
    """(channel, pitch, velocity, start, end) of each note; a note that never ends has no place here."""
    now, sounding, found = 0, {}, []
    for message in track:
        now += message.time
        if message.type == "note_on":
            assert message.velocity > 0 and (message.channel, message.note) not in sounding
            sounding[message.channel, message.note] = now, message.velocity
        elif message.type == "note_off":
            start, velocity = sounding.pop((message.channel, message.note))
            found.append((message.channel, message.note, velocity, start, now))
    assert not sounding
    return found


def meta(midi, kind):
    return [message for message in midi.tracks[0] if message.type == kind]


def test_a_seed_is_a_song_and_another_seed_another(files):
    assert saved(compose(7, 60)) == saved(files[7])
    assert len({saved(midi) for midi in files.values()}) == len(SEEDS)


def test_a_song_is_the_same_in_a_process_that_orders_sets_otherwise():
    module = "vsep_ray.music.band.composer"
    code = f"import sys; from {module} import compose; compose(3, 30).save(file=sys.stdout.buffer)"
    outs = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    ]
    assert outs[0] == outs[1] == saved(compose(3, 30))


def test_styles_come_equally_often(files):
    counts = Counter(meta(midi, "track_name")[0].name for midi in files.values())
    assert counts.keys() == {style.name for style in STYLES} and len(counts) >= 12
    assert max(counts.values()) - min(counts.values()) <= 2
    first, second = ([style_of(r * len(STYLES) + i).name for i in range(len(STYLES))] for r in (0, 1))
    assert first != second and sorted(first) == sorted(second)


@pytest.mark.parametrize("seconds", [5, 30, 200])
def test_songs_are_as_long_as_is_asked(seconds):
    for seed in range(0, 3 * len(STYLES), 3):
        song = write(seed, seconds)
        assert abs(to_midi(song).length - seconds) < 60 * song.style.bar / 4 / min(song.tempi)


def test_notes_begin_end_and_never_overlap_on_one_key(files):
    for midi in files.values():
        for track in midi.tracks:
            found = notes(track)
            assert all(start < end and 1 <= velocity <= 127 for _, _, velocity, start, end in found)
            for key in {(channel, pitch) for channel, pitch, *_ in found}:
                spans = sorted((start, end) for *place, _, start, end in found if tuple(place) == key)
                assert all(end <= start for (_, end), (start, _) in pairwise(spans))


def test_instruments_play_what_they_can_play(files):
    for midi in files.values():
        channels = []
        for track in midi.tracks[1:]:
            program = next(m for m in track if m.type == "program_change")
            assert {m.control for m in track if m.type == "control_change"} == {7, 10}
            channels.append(program.channel)
            low, high = (35, 81) if program.channel == 9 else compass(program.program)
            found = notes(track)
            assert {channel for channel, *_ in found} <= {program.channel}
            assert all(low <= pitch <= high for _, pitch, *_ in found)
        assert len(channels) == len(set(channels)) and 9 in channels


def silent(midi):
    """For each window of four seconds (at the song's first tempo), the families that are silent in it."""
    window = 4e6 / meta(midi, "set_tempo")[0].tempo * midi.ticks_per_beat
    sounds = [set() for _ in range(14)]
    for track in midi.tracks[1:]:
        program = next(m for m in track if m.type == "program_change")
        for *_, start, end in notes(track):
            for at in range(int(start // window), min(14, int(end // window) + 1)):
                sounds[at].add(family(program.channel, program.program))
    return [set(FAMILIES) - heard for heard in sounds]


def test_all_families_sound_in_most_songs_but_rest_in_some_windows(files):
    windows = {seed: silent(midi) for seed, midi in files.items()}
    for name in FAMILIES:
        assert sum(any(name not in w for w in ws) for ws in windows.values()) >= 0.9 * len(files), name
        share = sum(name in w for ws in windows.values() for w in ws) / (14 * len(files))
        assert 0.03 <= share <= 0.5, name
    lacking = [bool(w) for ws in windows.values() for w in ws]
    assert 0.1 <= sum(lacking) / len(lacking) <= 0.9


def melody(song):
    """(pitch, chord, whether the beat is strong) of each of the lead's notes, where it was meant to be."""
    for section in song.sections:
        first, last = (
            section.players.get("lead", section.bars) * song.style.bar,
            section.bars * song.style.bar,
        )
        for note in section.material.lines.get("lead", ()):
            if first <= note.start < last:
                strong = note.start % song.style.bar % (2 * song.style.beat) == 0
                yield note.pitch, section.material.chords[int(note.start)], strong


def test_melodies_keep_to_their_scale(songs):
    inside = [pitch % 12 in song.scale for song in songs.values() for pitch, _, _ in melody(song)]
    assert sum(inside) / len(inside) > 0.85  # seven tones of twelve would be 0.58


def test_chord_tones_fall_on_strong_beats(songs):
    fits = {True: [], False: []}
    for song in songs.values():
        for pitch, chord, strong in melody(song):
            fits[strong].append(pitch % 12 in chord.tones)
    share = {strong: sum(found) / len(found) for strong, found in fits.items()}
    assert share[True] > 0.95 > 0.8 > share[False] > 0.3  # a third of twelve tones would be by chance


def test_melodies_move_mostly_by_step_and_are_not_one_note(songs):
    pitches = {seed: [pitch for pitch, *_ in melody(song)] for seed, song in songs.items()}
    moves = [abs(b - a) for line in pitches.values() for a, b in pairwise(line)]
    assert sum(move <= 4 for move in moves) > 0.65 * len(moves)
    assert all(len(set(line)) >= 3 for line in pitches.values() if len(line) > 12)


def test_the_bass_has_the_root_where_the_chord_changes(songs):
    found = []
    for song in songs.values():
        material = song.sections[0].material
        for note in material.lines["bass"]:
            step = int(note.start)
            if step and material.chords[step] != material.chords[step - 1]:
                found.append(note.pitch % 12 == material.chords[step].tones[0])
    assert len(found) > 100 and sum(found) / len(found) > 0.8


def test_the_counter_voice_answers_in_longer_notes_and_other_tones(songs):
    long, same, moves = [], [], Counter()
    for song in songs.values():
        lines = song.sections[-1].material.lines
        if song.sections[-1].letter == "S" or not {"lead", "counter"} <= lines.keys():
            continue
        tune = lambda at, lead=lines["lead"]: next((n.pitch for n in reversed(lead) if n.start <= at), None)  # noqa: E731
        for a, b in pairwise(lines["counter"]):
            long.append(a.length >= 2 * song.style.beat)
            same.append(tune(a.start) is not None and tune(a.start) % 12 == a.pitch % 12)
            if None not in (tune(a.start), tune(b.start)):
                turn = (b.pitch - a.pitch) * (tune(b.start) - tune(a.start))
                moves["parallel" if turn > 0 else "contrary" if turn else "oblique"] += 1
    assert all(long) and not any(same)
    assert moves["parallel"] < 0.3 * moves["contrary"]


def test_songs_end_together_on_the_tonic(songs):
    for song in songs.values():
        last = (len(song.tempi) - 1) * song.style.bar * TICKS
        ends = {
            n.pitch % 12
            for r, p in song.played.items()
            for n in p
            if r != "drums" and n.start > last - TICKS // 4
        }
        assert song.key in ends and len(ends) <= 3


def test_loudness_rises_from_intro_to_chorus(songs):
    velocity = {"I": [], "C": []}
    for song in songs.values():
        bar = song.style.bar * TICKS
        for section in song.sections:
            if section.letter in velocity:
                span = range(section.start * bar, (section.start + section.bars) * bar)
                velocity[section.letter] += [n.velocity for n in song.played["bass"] if n.start in span]
    means = {letter: sum(found) / len(found) for letter, found in velocity.items()}
    assert means["C"] > means["I"] + 10


def test_keys_metres_tempi_and_instruments_vary(files):
    keys = {meta(midi, "key_signature")[0].key for midi in files.values()}
    metres = {(m.numerator, m.denominator) for f in files.values() for m in meta(f, "time_signature")}
    tempi = [60e6 / meta(midi, "set_tempo")[0].tempo for midi in files.values()]
    programs = {
        m.program
        for midi in files.values()
        for track in midi.tracks
        for m in track
        if m.type == "program_change"
    }
    assert len(keys) >= 16 and {key.endswith("m") for key in keys} == {True, False}
    assert metres >= {(4, 4), (3, 4), (6, 8)}
    assert min(tempi) < 85 and max(tempi) > 160
    assert len(programs) >= 40


def test_a_tempo_drifts_unless_a_machine_keeps_it(songs):
    for song in songs.values():
        spread = max(song.tempi) / min(song.tempi) - 1
        assert spread == 0 if not song.style.drift else 0 < spread < 0.06
