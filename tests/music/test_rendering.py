"""Notes become sound: at their time and pitch, the same bytes whatever was rendered before."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from soundfonts import synthesiser_or_skip, write_font

from vsep_ray.audio.formats import AudioError
from vsep_ray.config import UserError
from vsep_ray.music import synthesiser
from vsep_ray.music.families import KIT_CHANNEL
from vsep_ray.music.rendering import FADE, render
from vsep_ray.music.score import PITCH, Control, Note
from vsep_ray.music.synthesiser import BLOCK, RATE, Player

NOTE = Note(0.5, 1.5, 0, 0, 69, 100)


@pytest.fixture(scope="module", autouse=True)
def _synthesiser():
    synthesiser_or_skip()


@pytest.fixture(scope="module")
def font(tmp_path_factory):
    return write_font(tmp_path_factory.mktemp("font") / "x.sf2", programs=(0, 40))


def pitch(audio, start=0.6, end=1.4):
    """The frequency (Hz) of the loudest partial."""
    wave = audio[0, round(start * RATE) : round(end * RATE)] * np.hanning(round((end - start) * RATE))
    return np.abs(np.fft.rfft(wave, 2**21)).argmax() * RATE / 2**21


def sounding(audio):
    """First and last second of sound."""
    found = np.flatnonzero(np.abs(audio).max(0) > 1e-3) / RATE
    return found[0], found[-1]


def test_a_note_has_its_time_pitch_and_length(font):
    audio = render([NOTE], [], font, 0, 3)
    assert audio.shape == (2, 3 * RATE) and audio.dtype == np.float32
    start, end = sounding(audio)
    assert abs(start - 0.5) < 0.005 and 1.5 <= end < 1.7
    assert abs(pitch(audio) - 441) < 0.5


@pytest.mark.parametrize("semitones", [-12, -3, 1, 7])
def test_a_key_is_a_ratio_of_pitches(font, semitones):
    ratio = pitch(render([NOTE._replace(key=69 + semitones)], [], font, 0, 2)) / 441
    assert ratio == pytest.approx(2 ** (semitones / 12), rel=2e-3)


def test_velocity_and_controls_act_and_those_of_other_channels_do_not(font):
    plain = render([NOTE], [], font, 0, 2)
    quiet = render([NOTE], [Control(0.0, 0, 7, 50)], font, 0, 2)
    bent = render([NOTE], [Control(0.0, 0, PITCH, 8191)], font, 0, 2)
    other = render([NOTE], [Control(0.0, 1, 7, 50)], font, 0, 2)
    assert np.abs(quiet).max() < 0.5 * np.abs(plain).max()
    assert pitch(bent) / pitch(plain) == pytest.approx(2 ** (2 / 12), rel=2e-3)
    np.testing.assert_array_equal(other, plain)
    assert np.abs(render([NOTE._replace(velocity=30)], [], font, 0, 2)).max() < 0.3 * np.abs(plain).max()


def test_the_same_notes_are_the_same_bytes_after_anything_else(font):
    chord = [NOTE._replace(key=k, channel=c, program=40) for k in range(40, 90, 7) for c in (0, 1)]
    before = render(chord, [], font, 0, 2)
    render([NOTE._replace(end=99.0)], [Control(0.0, 0, 64, 127), Control(0.0, 0, PITCH, 900)], font, 0, 1)
    np.testing.assert_array_equal(render(chord, [], font, 0, 2), before)


def test_an_excerpt_is_a_part_of_the_whole(font):
    notes = [Note(t, t + 0.9, 0, 0, 60 + t, 100) for t in range(8)]
    whole = render(notes, [], font, 0, 9)
    part = render(notes, [], font, 4.5, 2)
    inner = slice(round(FADE * RATE), -round(FADE * RATE))
    expected = whole[:, round(4.5 * RATE) : round(6.5 * RATE)]
    shift = round((4.5 - 2) * RATE) % BLOCK  # blocks begin elsewhere
    assert np.abs(part[:, inner]).max() > 0.01 and shift < BLOCK
    lag = np.abs(np.fft.rfft(part[0])) - np.abs(np.fft.rfft(expected[0]))
    assert np.linalg.norm(lag) < 0.1 * np.linalg.norm(np.abs(np.fft.rfft(expected[0])))


def test_an_excerpt_begins_and_ends_without_a_click(font):
    audio = render([NOTE._replace(start=0.0, end=9.0)], [], font, 0.7, 1)
    assert audio[:, 0].tolist() == audio[:, -1].tolist() == [0, 0] and np.abs(audio).max() > 0.01


def test_notes_and_ends_beyond_the_sound_do_no_harm(font):
    late = [NOTE, NOTE._replace(start=1.9, end=80), NOTE._replace(start=5, end=6)]
    assert sounding(render(late, [Control(50.0, 0, 7, 0)], font, 0, 2.0001))[1] > 1.9
    with Player(Path(font), BLOCK) as player, pytest.raises(AssertionError, match="past the end"):
        player.play_to(2 * BLOCK)


def test_a_note_without_length_ends(font):
    assert sounding(render([NOTE._replace(end=0.5)], [], font, 0, 3))[1] < 0.9


def test_instruments_that_a_font_lacks_are_named(font):
    with pytest.raises(AudioError, match=r"program 7, which SoundFont .*x\.sf2 lacks"):
        render([NOTE._replace(program=7)], [], font, 0, 1)
    assert render([NOTE._replace(program=8, channel=KIT_CHANNEL)], [], font, 0, 2).any()


def test_a_font_that_fluidsynth_cannot_read_is_named(tmp_path):
    with pytest.raises(UserError, match="cannot read SoundFont"):
        Player(tmp_path / "gone.sf2", BLOCK)


def test_what_is_not_installed_is_one_sentence(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "fluidsynth", None)
    with pytest.raises(UserError, match=r"vsep_ray\[midi\].*apt-get install libfluidsynth3"):
        synthesiser.fluidsynth.__wrapped__()
    assert synthesiser.version().count(".") == 2


def test_nothing_of_fluidsynth_gets_between_the_lines_of_a_job():
    code = "from vsep_ray.music import synthesiser; synthesiser.version()"
    environment = os.environ | {
        "CI": "true"
    }  # pyfluidsynth prints where it found the library, if this is set
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert not said.stdout
