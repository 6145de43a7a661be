"""Crops in memory, for a machine that is lent for minutes: songs are rendered and clips read by all cores.

What decides their sound is the product's own: data sets, recipes, cutting, encoding. No store is written:
samples go to memory that all processes share, since a pipe takes longer for them than rendering does.
"""

import functools
import mmap
import multiprocessing
import os
import random
import time
from typing import NamedTuple

import numpy as np
import torch

from vsep_ray.batches.windows import Row
from vsep_ray.crops.encoding import decode, encode
from vsep_ray.crops.part_files import cut
from vsep_ray.datasets.band import BandConfig
from vsep_ray.datasets.dataset import Dataset
from vsep_ray.datasets.manifest import ManifestConfig
from vsep_ray.datasets.midi import MidiConfig
from vsep_ray.datasets.streams import BadFileError
from vsep_ray.datasets.track import CropConfig, Track

SOURCES = ("bass", "drums", "guitar", "other", "piano", "vocals")
MEMBERS = ("midi", "band", "manifest")
"""Names of the data sets, in the order of --crop-weights; the manifest lists the clips."""
RENDERED = {"families": ("six",), "seconds": 80.0}
VARIANTS = 4
"""Each MIDI file is performed this number of times, in ways of its own; all are one song."""
BAND_SONGS = 300
HELD_OUT_SECONDS = 30.0
SHARE = 0.6
"""Share of the machine's memory that crops may take."""
APART = 10**9
"""Samples from one song's first offset to the next one's: performances of one song differ in theirs."""


class Song(NamedTuple):
    """A track of a data set, and its number among all of these."""

    dataset: Dataset
    track: Track
    number: int = 0


class Memory:
    """Memory that processes share which are forked from the one that made it.

    Pages that nothing was written to take no room.
    """

    def __init__(self, size):
        self.buffer = mmap.mmap(-1, size)
        self.used = multiprocessing.get_context("fork").Value("Q")

    def put(self, content):
        """Returns where the bytes are now.

        Raises:
            MemoryError: there is no room left.
        """
        with self.used.get_lock():
            start, self.used.value = self.used.value, self.used.value + len(content)
        if start + len(content) > len(self.buffer):
            raise MemoryError(f"{len(self.buffer)} bytes are full of crops; render fewer songs")
        self.buffer[start : start + len(content)] = content
        return slice(start, start + len(content))


def training_songs(folder, fonts, most=None):
    """Returns the clips, and behind them the songs to render, in random order, at most so many of these.

    Args:
        folder: what carry.sh made.
        fonts: as in `StemsRecipe`.
        most: songs.
    """
    clips = ManifestConfig(root=str(folder / "clips/clips.csv"))
    lists = str(folder / "music/lists/train.txt")
    midi = [MidiConfig(root=lists, fonts=fonts, seed=seed, **RENDERED) for seed in range(VARIANTS)]
    band = BandConfig(train_songs=BAND_SONGS, valid_songs=0, test_songs=0, fonts=fonts, **RENDERED)
    rendered = songs_of(*midi, band)
    random.Random(0).shuffle(rendered)
    return [song._replace(number=i) for i, song in enumerate(songs_of(clips) + rendered[:most])]


def songs_of(*datasets):
    """Returns all songs of data sets."""
    return [Song(dataset, track) for dataset in datasets for track in dataset.find()]


def held_out(folder, fonts, crop, processes, most=None):
    """Returns the sources of held-out songs as they are together. Shape: -> (N, K, C, T)."""
    recipe = {**RENDERED, "seconds": HELD_OUT_SECONDS, "swap": 0.0, "transpose": 0}
    dataset = MidiConfig(root=str(folder / "music/lists/valid.txt"), fonts=fonts, **recipe)
    found = gather(songs_of(dataset)[:most], crop, processes, float("inf"))
    silence = np.zeros((len(found["bass"]), crop.channels, crop.length), np.float32)
    audible = {source: _audio(rows, crop) for source, rows in found.items() if rows}
    return torch.from_numpy(np.stack([audible.get(source, silence) for source in SOURCES], 1))


def gather(songs, crop, processes, until):
    """Returns crops by source, of the songs that are done before a time of `time.monotonic`.

    Their samples are in shared memory, which is theirs as long as the rows are kept.
    """
    found = {source: [] for source in SOURCES}
    memory = Memory(int(SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")))
    silence, view = bytes(2 * crop.channels * crop.length), memoryview(memory.buffer)
    work = functools.partial(_rows, crop=crop)
    with multiprocessing.get_context("fork").Pool(processes, _remember, (memory,)) as pool:
        for rows, bad in pool.imap_unordered(work, songs):
            for source, row in rows:
                audio = view[row.audio] if row.audio else silence
                found[source].append(row._replace(audio=audio))
            if bad:
                print(f"left out {bad}", flush=True)
            if time.monotonic() > until:
                break
    return found


def minutes(found, crop):
    """Returns source -> minutes."""
    each = crop.length / crop.sample_rate / 60
    return {source: round(each * len(rows), 1) for source, rows in found.items()}


def _remember(memory):
    global _memory
    _memory = memory


def _rows(song, crop: CropConfig):
    """Returns source and row of each crop of a song, or none and what is wrong with its file.

    In the place of its samples a row has where they are, None if it is silent.
    """
    rows = []
    open_track = functools.partial(song.dataset.open, crop=crop)
    try:
        for name, offset, sources in cut([song.track], open_track, SOURCES, (), False, crop.length):
            pcm, gain = encode(np.stack(list(sources.values())))
            places = [_memory.put(item.tobytes()) if item.any() else None for item in pcm]
            named = zip(sources, gain.tolist(), places, strict=True)
            offset += APART * song.number
            rows += [(s, Row(name, offset, g, place, song.dataset.name)) for s, g, place in named]
    except BadFileError as error:
        return [], f"{error.uri}: {error}"  # as text: the error itself does not survive pickling
    return rows, ""


def _audio(rows, crop):
    rows = sorted(rows, key=lambda row: (row.track, row.offset))
    return decode([row.audio for row in rows], np.array([row.gain for row in rows]), crop.channels)
