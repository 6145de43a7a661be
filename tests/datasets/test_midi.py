"""MIDI files as a data set: the same song anywhere, stems that add up, and damage that is a bad file."""

import dataclasses
import functools
import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from soundfonts import synthesiser_or_skip, write_font, write_song

from vsep_ray.config import UserError, fingerprint
from vsep_ray.crops import writing
from vsep_ray.crops.part_files import cut
from vsep_ray.crops.store import CropStore
from vsep_ray.datasets.midi import MidiConfig
from vsep_ray.datasets.streams import BadFileError, whole
from vsep_ray.datasets.track import MIXTURE, CropConfig
from vsep_ray.music.levels import CEILING

SOURCES = ("bass", "drums", "guitar", "other", "piano")
CROP = CropConfig(sample_rate=8_000, channels=2, length=3_000)


@pytest.fixture
def dataset(tmp_path):
    synthesiser_or_skip()
    for i in range(3):
        write_song(tmp_path / f"songs/album {i}/song.mid", keys=(60 + i, 64, 67 + 2 * i))
    return MidiConfig(root=str(tmp_path / "songs"), fonts=(write_font(tmp_path / "x.sf2"),))


def digests(dataset, tracks=None):
    """Hash of each song's samples, by its name."""
    found = {}
    for track in dataset.find() if tracks is None else tracks:
        audio = whole(dataset.open(track, CROP))
        found[track.id] = hashlib.sha256(b"".join(audio[s].tobytes() for s in sorted(audio))).hexdigest()
    return found


def test_every_file_is_a_track_with_all_sources(dataset, tmp_path):
    for name in ("a.MID", "b.kar", "c.wav", "._d.mid", "__MACOSX/e.mid"):
        write_song(tmp_path / "songs" / name)
    found = dataset.find()
    assert [t.id for t in found] == ["a.MID", *(f"album {i}/song.mid" for i in range(3)), "b.kar"]
    assert all(tuple(s.source for s in t.stems) == SOURCES and len(t.files) == 1 for t in found)
    four = dataclasses.replace(dataset, families=("four",)).find()
    assert [s.source for s in four[0].stems] == ["bass", "drums", "other"]


@pytest.mark.parametrize("place", ["songs/list.txt", "songs/lists/list.txt"])
def test_a_list_names_files_from_its_folder_or_the_one_above(dataset, tmp_path, place):
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("album 2/song.mid\n\nalbum 0/song.mid\nalbum 2/song.mid\ngone.mid\n")
    listed = dataclasses.replace(dataset, root=str(tmp_path / place))
    found = listed.find()
    assert [t.id for t in found] == ["album 2/song.mid", "album 0/song.mid", "gone.mid"]
    every = digests(dataset)
    assert digests(listed, found[:2]) == {i: every[i] for i in ("album 2/song.mid", "album 0/song.mid")}
    with pytest.raises(BadFileError, match="No such file"):
        digests(listed, found[2:])


def test_lists_that_cannot_be_read_are_named(dataset, tmp_path):
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe")
    for name, words in (("list.txt", "no text in UTF-8"), ("gone.txt", "is not there")):
        with pytest.raises(UserError, match=words):
            dataclasses.replace(dataset, root=str(tmp_path / name)).find()


def test_songs_are_the_same_bytes_again_in_another_order_and_in_another_process(dataset):
    tracks, first = dataset.find(), digests(dataset)
    assert len(set(first.values())) == 3
    assert digests(dataset, tracks[::-1]) == first
    code = f"""
import sys; sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parent.parent)]}
from test_midi import MidiConfig, digests
print(digests(MidiConfig(root={dataset.root!r}, fonts={dataset.fonts!r})))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == str(first)
    assert digests(dataclasses.replace(dataset, seed=1)) != first


def store_at(uri):
    return CropStore(
        str(uri), "midi", **vars(CROP), sources=SOURCES, scales=(1.0,) * 5, paired=True, fingerprint="f"
    )


def unit_of(dataset):
    return writing.Unit("0", "train", tuple(dataclasses.replace(t, split="train") for t in dataset.find()))


def test_stems_add_up_to_the_mixture_and_a_store_has_the_same_bytes_again(dataset, tmp_path):
    open_track = functools.partial(dataset.open, crop=CROP)
    unit, names = unit_of(dataset), set()
    for song, _, crops in cut(unit.tracks, open_track, SOURCES, (1.0,) * 5, True, CROP.length):
        np.testing.assert_array_equal(crops[MIXTURE], sum(crops[s] for s in SOURCES))
        assert np.abs(crops[MIXTURE]).max() <= CEILING * 1.000001
        names.add(song)
    assert len(names) == 3 and dataset.scales(5) == (1.0,) * 5 and dataset.paired(unit.tracks)
    first, second = (writing.write_unit(store_at(tmp_path / n), unit, open_track) for n in "ab")
    assert first == second and {c.source for c in first.counts} == {*SOURCES, MIXTURE}


DAMAGES = {
    "truncated": (lambda whole: whole[: len(whole) // 2], "damaged"),
    "garbage": (lambda whole: np.random.default_rng(0).bytes(999), "no MIDI file"),
    "text": (lambda whole: b"this is no music", "no MIDI file"),
    "empty": (lambda whole: b"", "empty"),
    "no notes": (lambda whole: whole[:14] + b"MTrk\0\0\0\4\0\xff\x2f\0" * 5, "no notes"),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_is_a_bad_file_and_the_others_go_on(dataset, kind, tmp_path):
    damage, words = DAMAGES[kind]
    unit = unit_of(dataset)
    first, bad, last = unit.tracks
    path = Path(bad.files[0])
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BadFileError, match=words) as caught:
        digests(dataset, [bad])
    assert (caught.value.uri, caught.value.stage) == (str(path), "decode")
    record = writing.write_unit(store_at(tmp_path / "store"), unit, lambda t: dataset.open(t, CROP))
    assert record.tracks == (first.id, last.id) and [r.uri for r in record.rejected] == [str(path)]


def test_a_program_that_the_font_lacks_is_a_bad_file(dataset, tmp_path):
    few = dataclasses.replace(dataset, fonts=(write_font(tmp_path / "few.sf2", programs=(0,)),))
    with pytest.raises(BadFileError, match="no SoundFont has all of the programs"):
        digests(few)


def test_an_inventory_has_settings_fonts_and_files(dataset, tmp_path):
    def mark(**fields):
        changed = dataclasses.replace(dataset, **fields)
        return fingerprint(changed.inventory(changed.find()).content)

    first = mark()
    assert mark() == first and mark(seed=1) != first and mark(level_lufs=-20.0) != first
    assert mark(fonts=(f"{dataset.fonts[0]}:2",)) != first
    write_font(tmp_path / "x.sf2", kits=(0, 8))
    assert mark() != first
    sizes = dataset.inventory(dataset.find()).sizes
    assert sizes == [180 * 44_100 * 8] * 3


def test_no_font_is_one_sentence(dataset):
    with pytest.raises(UserError, match=r"Debian's package fluid-soundfont-gm.*--fonts"):
        dataclasses.replace(dataset, fonts=("/nowhere/x.sf2",)).find()
