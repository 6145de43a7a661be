"""Previews: what a table says of a data set is what is in it, from few songs, and nothing is written."""

import numpy as np
import pytest

from vsep_ray.audio.formats import AudioError
from vsep_ray.crops.store import CropStore
from vsep_ray.datasets.streams import BadFileError
from vsep_ray.datasets.track import Stem, Track
from vsep_ray.survey import preview

RATE = 8_000
NOISE = np.random.default_rng(0).normal(0, 0.1, (1, RATE // 2)).astype(np.float32)
LAYOUT = CropStore("nowhere", "stems", RATE, 1, RATE // 2, ("bass", "drums"), (1.0, 1.0), True, "abc")


def track(name, split="train", sources=("bass", "drums")):
    return Track(name, stems=tuple(Stem(s, (f"{name}/{s}",)) for s in sources), split=split)


def glimpse(song):
    """A second of a song is silent, then come nine of noise, each source's its own."""
    if song.id == "bad":
        raise BadFileError("bad/bass", AudioError("decode", "cut off"))
    noise = np.random.default_rng(len(song.id)).normal(0, 0.1, (20, 1, RATE // 2)).astype(np.float32)
    stems = enumerate(song.stems, 1)
    return None, {stem.source: iter([0 * NOISE] * 2 + list(k * noise[:18])) for k, stem in stems}


def table(tracks):
    looks = [preview.look_at(t, LAYOUT, glimpse) for t in preview.choose(tracks)]
    return preview.describe(tracks, looks).splitlines()


def test_every_split_and_source_has_some_songs_chosen():
    tracks = [track(f"t{i}") for i in range(50)] + [track("v", "valid"), track("b", sources=("bass",))]
    chosen = preview.choose(tracks)
    assert len(chosen) <= 5 and chosen == preview.choose(tracks)
    assert sum(t.split == "train" for t in chosen) >= preview.SONGS and "v" in {t.id for t in chosen}


def test_the_table_counts_all_and_measures_some():
    lines = table([track(f"t{i}") for i in range(9)] + [track("v", "valid")])
    assert lines[0].split() == [*preview.HEAD]
    split, source, songs, tracks, read, minutes, silent, _, lufs, *_ = lines[1].split()
    assert (split, source, songs, tracks, read, minutes) == ("train", "bass", "9", "9", "3", "~1.5")
    assert silent == "10" and float(lufs) == pytest.approx(-20, abs=2)
    assert [line.split()[:6] for line in lines[3:5]] == [
        ["valid", s, "1", "1", "1", "0.2"] for s in ("bass", "drums")
    ]


def test_findings_are_counted_and_the_worst_is_listed():
    def same(song):
        stems = {"bass": iter([NOISE] * 4), "drums": iter([NOISE] * 4)}
        return (None, stems) if song.id == "t" else glimpse(song)

    tracks = [track("t"), track("bad")]
    lines = preview.describe(tracks, [preview.look_at(t, LAYOUT, same) for t in tracks])
    assert "identical 1, unusable 1" in lines
    assert "bad, bass: unusable, decode: cut off" in lines and "the same samples as drums" in lines


def test_of_a_long_track_the_beginning_is_read(monkeypatch):
    monkeypatch.setattr(preview, "SECONDS", 2.0)
    look = preview.look_at(track("t"), LAYOUT, glimpse)
    assert look.seconds == 10 and look.silence == {"bass": 0.5, "drums": 0.5}
    assert len(look.surveys["bass"].lufs) == 2


def test_a_song_that_knows_its_length_is_read_in_part():
    look = preview.look_at(track("t"), LAYOUT, lambda song: (90.0, glimpse(song)[1]))
    assert look.seconds == 90 and look.silence["bass"] == 0.1 and len(look.surveys["bass"].lufs) == 6
