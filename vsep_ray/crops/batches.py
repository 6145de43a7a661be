"""Streams of crops become training batches by windows, sub-crops, augmentation and remixes of songs.

No Ray here: a stream is any callable that returns one pass over blocks of rows (columns ``track``,
``offset``, ``gain``, ``audio``, as the crop store keeps them). In production that is a worker's shard of a
Ray data set.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, count, islice, starmap
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vsep_ray.config import UserError
from vsep_ray.crops.encoding import SILENCE_DB, decode, level_db

Block = Mapping[str, np.ndarray]
Passes = Callable[[], Iterable[Block]]
TRIES = 50


class Row(NamedTuple):
    """A row is one crop as the store keeps it: song id, offset in samples, PCM and the gain of `decode`, and
    the member of a joined store that it comes from.
    """

    track: str
    offset: int
    gain: float
    audio: bytes
    member: str = ""


@dataclass(frozen=True)
class AugmentConfig:
    """Crops are changed at random, by what leaves a source what it is."""

    level_db: float | None = None
    """Audible crops are first brought to this RMS (dB re full scale); None leaves them as they are. Clips of
    single instruments come at levels that say nothing of their place in a mixture."""
    gain_db: float = 0.0
    """Each crop gets a random gain, uniform between minus and plus this number (dB)."""
    polarity: bool = False
    """Half of the crops change their sign; this is not for toy waves, whose sawtooth has a direction."""
    channel_swap: bool = False
    """Half of the stereo crops swap left and right."""
    silence: float = 0.0
    """A source is silent in a remix with this probability."""


class Window:
    """A window holds crops of one stream in a worker's memory, which draws from it.

    Up to ``capacity`` rows are resident. A stream that ends before is held whole and sorted, so that draws do
    not depend on the order of arrival; a longer one flows through: every draw replaces as many of the oldest
    rows by the next of the stream, pass after pass.

    With weights, a member of a joined store is drawn in proportion to its weight, however many of its rows
    are resident: p(row) = w_member / (rows of the member), over the sum of the weights of the members that
    are there. Without, p(row) = 1 / rows.

    Args:
        stream: one pass over the rows.
        capacity: rows to hold.
        length: samples of a drawn crop, cut at random from the stored one; 0: all of it.
        channels: audio channels; for aligned sources K times as many.
        weights: of the members of a joined store, by name.

    Raises:
        UserError: the stream is empty.
    """

    def __init__(
        self,
        stream: Passes,
        capacity: int,
        length: int,
        channels: int,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        self.stream, self.length, self.channels, self.weights = stream, length, channels, weights
        rows = stream_rows(stream())
        self.resident = list(islice(rows, capacity))
        if not self.resident:
            raise UserError(
                "a training stream has no crops at all; look at the crop store's quarantine table"
            )
        following = next(rows, None)
        self.whole = following is None
        if self.whole:
            self.resident.sort(key=lambda row: (row.track, row.offset, row.audio))
        endless = chain.from_iterable(stream_rows(stream()) for _ in count())
        self.rows = chain([] if following is None else [following], rows, endless)
        self.oldest = 0
        self.members = np.array([row.member for row in self.resident], object)

    def draw(self, rng: np.random.Generator, num: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns what `pick` does, after which ``num`` of the oldest rows make room for new ones."""
        picked = self.pick(rng, num)
        for _ in range(0 if self.whole else num):
            self.resident[self.oldest] = next(self.rows)
            self.members[self.oldest] = self.resident[self.oldest].member
            self.oldest = (self.oldest + 1) % len(self.resident)
        return picked

    def pick(self, rng: np.random.Generator, num: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns random crops of the resident ones: track ids (num,) and float32 audio (num, C, T)."""
        picked = [self.resident[i] for i in self._numbers(rng, num)]
        audio = decode([r.audio for r in picked], np.array([r.gain for r in picked]), self.channels)
        names = np.array([r.track for r in picked], object)  # fixed-width strings would cut a longer name off
        return names, self._sub_crops(rng, audio)

    def _numbers(self, rng: np.random.Generator, num: int) -> np.ndarray:
        if not self.weights:
            return rng.integers(0, len(self.resident), num)
        rows = {name: np.flatnonzero(self.members == name) for name in self.weights}
        there = [name for name, found in rows.items() if len(found)]
        shares = np.array([self.weights[name] for name in there])
        drawn = rng.choice(len(there), num, p=shares / shares.sum())
        places = rng.integers(0, np.array([len(rows[name]) for name in there])[drawn])
        return np.array([rows[there[k]][i] for k, i in zip(drawn, places, strict=True)])

    def _sub_crops(self, rng: np.random.Generator, audio: np.ndarray) -> np.ndarray:
        spare = audio.shape[-1] - (self.length or audio.shape[-1])
        if spare <= 0:
            return audio
        starts = rng.integers(0, spare + 1, len(audio))
        return np.stack([a[:, s : s + self.length] for a, s in zip(audio, starts, strict=True)])


def stream_rows(blocks: Iterable[Block]) -> Iterator[Row]:
    """Yields the rows of blocks, one by one."""
    for block in blocks:
        yield from starmap(Row, zip(*(block[name] for name in Row._fields if name in block), strict=True))


def draw_clips(window: Window, rng: np.random.Generator, num: int, augment: AugmentConfig) -> Tensor:
    """Returns a batch of augmented clips of one stream. Shape: -> (num, C, T)."""
    return _augmented(window.draw(rng, num)[1], rng, augment)


def draw_remix(windows: list[Window], rng: np.random.Generator, num: int, augment: AugmentConfig) -> Tensor:
    """Returns one clip per source, never two of one song in one item (asserted).

    Shape: -> (num, K, C, T).

    Raises:
        UserError: the sources share so few songs that no such item was found in 50 tries.
    """
    tracks: list[np.ndarray] = []
    columns = []
    for window in windows:
        names, audio = window.draw(rng, num)
        for _ in range(TRIES):
            clash = np.any([names == other for other in tracks], axis=0) if tracks else np.zeros(num, bool)
            if not clash.any():
                break
            # not a draw: workers must take equally many rows of a divided stream, or they wait for each other
            names[clash], audio[clash] = window.pick(rng, int(clash.sum()))
        else:
            raise UserError(
                "cannot find clips of different songs for one mixture; every source needs clips of more songs"
            )
        tracks.append(names)
        columns.append(_silenced(_augmented(audio, rng, augment), rng, augment.silence))
    assert all(len(set(item)) == len(windows) for item in zip(*tracks, strict=True)), (
        "two stems of one song in a remix"
    )
    return torch.stack(columns, 1)


def _augmented(audio: np.ndarray, rng: np.random.Generator, augment: AugmentConfig) -> Tensor:
    num = len(audio)
    factor = 10 ** (rng.uniform(-augment.gain_db, augment.gain_db, num) / 20)
    factor *= np.where(rng.random(num) < 0.5 * augment.polarity, -1, 1) * level_factors(
        audio, augment.level_db
    )
    swap = rng.random(num) < 0.5 * augment.channel_swap
    audio = np.where(swap[:, None, None], audio[:, ::-1], audio)
    return torch.from_numpy((audio * factor[:, None, None]).astype(np.float32))


def level_factors(audio: np.ndarray, target_db: float | None) -> np.ndarray:
    """Returns what brings each audible crop to ``target_db`` (RMS re full scale); 1 for silence and for None.

    Shape: (N, C, T) -> (N,).
    """
    if target_db is None:
        return np.ones(len(audio))
    level = level_db(audio)
    return np.where(level > SILENCE_DB, 10 ** ((target_db - level) / 20), 1.0)


def _silenced(clips: Tensor, rng: np.random.Generator, probability: float) -> Tensor:
    keep = torch.from_numpy((rng.random(len(clips)) >= probability).astype(np.float32))
    return clips * keep[:, None, None]
