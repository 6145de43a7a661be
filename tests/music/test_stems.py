"""A score becomes stems: each source by its family, as loud as asked; what cannot be played is named."""

import dataclasses
import random

import numpy as np
import pytest
from soundfonts import FAMILIES, synthesiser_or_skip, write_font

from vsep_ray.audio.formats import AudioError
from vsep_ray.audio.loudness import loudness
from vsep_ray.config import UserError
from vsep_ray.music.families import KIT_CHANNEL
from vsep_ray.music.levels import CEILING
from vsep_ray.music.score import Note, Score
from vsep_ray.music.stems import LONGEST, TAIL, StemsRecipe

RATE = 16_000
SOURCES = ("bass", "drums", "guitar", "other", "piano")
PLACES = (*((channel, program) for channel, program in enumerate(FAMILIES.values())), (KIT_CHANNEL, 0))
SONG = Score(tuple(Note(t, t + 0.9, c, p, 60 + t % 5, 90) for t in range(6) for c, p in PLACES))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    synthesiser_or_skip()
    font = write_font(tmp_path_factory.mktemp("font") / "x.sf2")
    return StemsRecipe(fonts=(font,), swap=0, transpose=0, tempo=0, humanise=0, touch=0, level_spread=0)


def stems(recipe, score=SONG, song="song", sources=SOURCES, rate=RATE, channels=1):
    return recipe.stems(score, song, sources, rate, channels)


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2)])
def test_stems_are_as_loud_as_asked_in_the_format_asked_for(recipe, rate, channels):
    made = stems(dataclasses.replace(recipe, level_lufs=-28), rate=rate, channels=channels)
    assert list(made) == list(SOURCES)
    for audio in made.values():
        assert audio.shape == (channels, round((SONG.seconds + TAIL) * rate)) and audio.dtype == np.float32
        assert loudness(audio, rate) == pytest.approx(-28, abs=0.1)


def test_the_mixture_is_softer_as_a_whole_where_it_would_clip(recipe):
    loud = stems(dataclasses.replace(recipe, level_lufs=-10))
    peak = np.abs(np.sum(list(loud.values()), 0)).max()
    assert peak == pytest.approx(CEILING, rel=1e-4)
    levels = [loudness(audio, RATE) for audio in loud.values()]
    assert max(levels) < -12 and np.ptp(levels) < 0.1


def test_a_source_without_a_note_is_silence(recipe):
    made = stems(recipe, Score(tuple(n for n in SONG.notes if n.channel != 2)))
    assert not made["bass"].any() and made["drums"].any()
    assert len({audio.shape for audio in made.values()}) == 1


def test_a_source_is_the_same_whichever_others_are_asked_for(recipe):
    every = dataclasses.replace(recipe, swap=0.5, level_spread=5, level_lufs=-35)
    both = stems(every, sources=("bass", "drums"))
    np.testing.assert_array_equal(both["bass"], stems(every)["bass"])


def test_transposition_moves_all_pitches_by_one_ratio(recipe):
    def pitch(audio):
        wave = audio[0, : RATE // 2] * np.hanning(RATE // 2)
        return np.abs(np.fft.rfft(wave, 2**20)).argmax() * RATE / 2**20

    moving = dataclasses.replace(recipe, transpose=6)
    plain, ratios = stems(recipe), {}
    for song in ("a", "b", "c", "d"):
        moved = stems(moving, song=song)
        found = {s: pitch(moved[s]) / pitch(plain[s]) for s in SOURCES}
        assert found["drums"] == pytest.approx(1, rel=1e-3)
        tuned = [found[s] for s in SOURCES if s != "drums"]
        assert max(tuned) == pytest.approx(min(tuned), rel=1e-3)
        ratios[song] = 12 * np.log2(tuned[0])
        assert ratios[song] == pytest.approx(round(ratios[song]), abs=0.02) and abs(ratios[song]) < 6.1
    assert len({round(r) for r in ratios.values()}) > 1


def test_an_excerpt_is_as_long_as_asked_and_a_short_song_is_whole(recipe):
    assert stems(dataclasses.replace(recipe, seconds=3))["bass"].shape == (1, 3 * RATE)
    whole = stems(recipe)["bass"].shape
    assert stems(dataclasses.replace(recipe, seconds=60))["bass"].shape == whole


def test_what_no_font_has_is_named_and_a_font_that_has_it_is_taken(recipe, tmp_path):
    few = write_font(tmp_path / "few.sf2", programs=(0,))
    with pytest.raises(AudioError, match=r"no SoundFont has all of the programs 25"):
        stems(dataclasses.replace(recipe, fonts=(few,)), sources=("piano", "guitar"))
    assert stems(dataclasses.replace(recipe, fonts=(f"{few}:1000", *recipe.fonts)))["guitar"].any()


def test_songs_without_a_note_of_a_source_or_of_hours_are_named(recipe):
    strings = dataclasses.replace(recipe, families=("strings=48",))
    with pytest.raises(AudioError, match="no note of strings"):
        stems(strings, sources=("strings",))
    endless = Score((*SONG.notes, Note(LONGEST, LONGEST + 1, 0, 0, 60, 90)))
    with pytest.raises(AudioError, match="1802 s long"):
        stems(recipe, endless)
    assert stems(dataclasses.replace(recipe, seconds=2), endless)["bass"].any()


@pytest.mark.parametrize(
    "fields", [{"seconds": 0.5}, {"swap": 2.0}, {"pan": 3.0}, {"families": ("x",)}, {"fonts": ("gone.sf2",)}]
)
def test_mistakes_are_refused_before_any_song_is_read(recipe, fields):
    with pytest.raises(UserError, match=next(iter(fields)).rstrip("s")):
        dataclasses.replace(recipe, **fields).check()
    recipe.check()


def test_fonts_are_drawn_by_their_weights(recipe, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "vsep_ray.music.stems.render",
        lambda notes, controls, font, start, seconds, player: (
            drawn.append(font) or np.ones((2, round(seconds * 44_100)))
        ),
    )
    other = write_font(tmp_path / "other.sf2")
    many = dataclasses.replace(recipe, fonts=(f"{recipe.fonts[0]}:3", other))
    short = Score((SONG.notes[0]._replace(end=0.1, program=random.Random(0).randrange(8)),))
    for i in range(80):
        stems(many, short, f"{i}", ("piano",), 8_000)
    assert 0.6 < drawn.count(recipe.fonts[0]) / len(drawn) < 0.9
