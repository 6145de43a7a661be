"""Windows hold crops of a stream in a worker's memory, and training draws from them.

No Ray here: a stream is any callable that returns one pass over blocks of rows (columns ``track``,
``offset``, ``gain``, ``audio``, as the crop store keeps them). In production that is a worker's shard of a
Ray data set.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, count, islice, starmap
from typing import NamedTuple

import numpy as np

from vsep_ray.batches.alignment import describe
from vsep_ray.config import UserError
from vsep_ray.crops.encoding import decode

Block = Mapping[str, np.ndarray]
Passes = Callable[[], Iterable[Block]]
CANDIDATES = 8
"""Clips among which the one that fits best is chosen."""
DRAWS_OF_A_ROW = 4
"""A row of a stream that flows through is drawn this number of times, as a mean: reading and unpacking it
takes longer than to cut and change it anew."""


class Row(NamedTuple):
    """A row is one crop as the store keeps it: song id, offset in samples, PCM and the gain of `decode`, and
    the member of a joined store that it comes from.
    """

    track: str
    offset: int
    gain: float
    audio: bytes
    member: str = ""


class Window:
    """A window holds crops of one stream in a worker's memory, which draws from it.

    Up to ``capacity`` rows are resident. A stream that ends before is held whole and sorted, so that draws do
    not depend on the order of arrival; a longer one flows through: every `DRAWS_OF_A_ROW` draws replace the
    oldest row by the next of the stream, pass after pass.

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
        self.oldest = self.drawn = 0
        self.descriptions: dict[int, np.ndarray] = {}
        self.members = np.array([row.member for row in self.resident], object)

    def draw(
        self, rng: np.random.Generator, num: int, fit: "Fit | None" = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns what `pick` does, after which the oldest rows make room for new ones."""
        picked = self.pick(rng, num, fit)
        before, self.drawn = self.drawn, self.drawn + num
        for _ in range(0 if self.whole else self.drawn // DRAWS_OF_A_ROW - before // DRAWS_OF_A_ROW):
            self.resident[self.oldest] = next(self.rows)
            self.members[self.oldest] = self.resident[self.oldest].member
            self.descriptions.pop(self.oldest, None)
            self.oldest = (self.oldest + 1) % len(self.resident)
        return picked

    def pick(
        self, rng: np.random.Generator, num: int, fit: "Fit | None" = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns random crops of the resident ones: track ids (num,) and float32 audio (num, C, T). With
        ``fit`` they are chosen by what else is in their items.
        """
        numbers = fit.choose(self, rng, num) if fit else self.numbers(rng, num)
        # fixed-width strings would cut a longer name off
        names = np.array([self.resident[i].track for i in numbers], object)
        return names, self._sub_crops(rng, self._audio(numbers))

    def describe(self, numbers: np.ndarray, sample_rate: int) -> np.ndarray:
        """Returns what `alignment.describe` says of resident rows, each asked once. Shape: (N,) -> (N, F)."""
        if fresh := [i for i in np.unique(numbers).tolist() if i not in self.descriptions]:
            self.descriptions |= zip(fresh, describe(self._audio(fresh), sample_rate), strict=True)
        return np.stack([self.descriptions[i] for i in numbers.tolist()])

    def _audio(self, numbers: Iterable[int]) -> np.ndarray:
        rows = [self.resident[i] for i in numbers]
        return decode([r.audio for r in rows], np.array([r.gain for r in rows]), self.channels)

    def numbers(self, rng: np.random.Generator, num: int) -> np.ndarray:
        """Returns the places of random resident rows. Shape: -> (num,)."""
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


class Fit:
    """A fit chooses clips for the items of a remix, source after source: the best of some, by harmony and
    rhythm, in some of the items, and any in the others.

    Args:
        aligned: the items whose clips are to fit. Shape: (N,).
        sample_rate: Hz.
    """

    def __init__(self, aligned: np.ndarray, sample_rate: int) -> None:
        self.aligned, self.sample_rate = aligned, sample_rate
        self.so_far: np.ndarray | None = None

    def choose(self, window: Window, rng: np.random.Generator, num: int) -> np.ndarray:
        """Returns the places of rows that fit what was chosen before. Shape: -> (num,)."""
        found = window.numbers(rng, CANDIDATES * num).reshape(num, CANDIDATES)
        described = window.describe(found.ravel(), self.sample_rate).reshape(num, CANDIDATES, -1)
        best = np.zeros(num, int)
        if self.so_far is not None:
            scores = np.einsum("ncf,nf->nc", described, self.so_far)
            best = np.where(self.aligned, scores.argmax(1), 0)
        items = np.arange(num)
        chosen = described[items, best]
        self.so_far = chosen if self.so_far is None else self.so_far + chosen
        return found[items, best]


def stream_rows(blocks: Iterable[Block]) -> Iterator[Row]:
    """Yields the rows of blocks, one by one."""
    for block in blocks:
        yield from starmap(Row, zip(*(block[name] for name in Row._fields if name in block), strict=True))
