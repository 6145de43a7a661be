"""Crops in memory, for a machine that is lent for minutes: songs are rendered and clips read by all cores.

What decides their sound is the product's own: data sets, recipes, cutting, encoding. No store is written.
"""

import functools
import multiprocessing
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


class Song(NamedTuple):
    """A track, its data set, and the member of the mixture of data sets that it counts to."""

    member: str
    dataset: Dataset
    track: Track


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
    rendered = [song for dataset in (*midi, band) for song in _songs(dataset)]
    random.Random(0).shuffle(rendered)
    return _songs(clips) + rendered[:most]


def held_out(folder, fonts, crop, processes, most=None):
    """Returns the sources of held-out songs as they are together. Shape: -> (N, K, C, T)."""
    recipe = {**RENDERED, "seconds": HELD_OUT_SECONDS, "swap": 0.0, "transpose": 0}
    dataset = MidiConfig(root=str(folder / "music/lists/valid.txt"), fonts=fonts, **recipe)
    found = gather(_songs(dataset)[:most], crop, processes, float("inf"))
    silence = np.zeros((len(found["bass"]), crop.channels, crop.length), np.float32)
    audible = {source: _audio(rows, crop) for source, rows in found.items() if rows}
    return torch.from_numpy(np.stack([audible.get(source, silence) for source in SOURCES], 1))


def gather(songs, crop, processes, until):
    """Returns crops by source, of the songs that are done before a time of `time.monotonic`."""
    found = {source: [] for source in SOURCES}
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        for rows, bad in pool.imap_unordered(functools.partial(_rows, crop=crop), songs):
            for source, row in rows:
                found[source].append(row)
            if bad:
                print(f"left out {bad}", flush=True)
            if time.monotonic() > until:
                break
    return found


def minutes(found, crop):
    """Returns source -> minutes, in words."""
    each = crop.length / crop.sample_rate / 60
    return ", ".join(f"{source} {each * len(rows):.0f}" for source, rows in found.items())


def _songs(dataset):
    return [Song(dataset.name, dataset, track) for track in dataset.find()]


def _rows(song, crop: CropConfig):
    """Returns source and row of each crop of a song, or none and what is wrong with its file."""
    rows = []
    open_track = functools.partial(song.dataset.open, crop=crop)
    try:
        for name, offset, sources in cut([song.track], open_track, SOURCES, (), False, crop.length):
            pcm, gain = encode(np.stack(list(sources.values())))
            packed = zip(sources, gain.tolist(), pcm, strict=True)
            rows += [(s, Row(name, offset, g, p.tobytes(), song.member)) for s, g, p in packed]
    except BadFileError as error:
        return [], f"{error.uri}: {error}"  # as text: the error itself does not survive pickling
    return rows, ""


def _audio(rows, crop):
    rows = sorted(rows, key=lambda row: (row.track, row.offset))
    return decode([row.audio for row in rows], np.array([row.gain for row in rows]), crop.channels)
