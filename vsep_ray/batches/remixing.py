"""Crops become training batches, by augmentation and by remixes of different songs."""

import functools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from vsep_ray.batches.augment import AugmentConfig, augmented, limited, silenced
from vsep_ray.batches.windows import Fit, Window
from vsep_ray.config import UserError

TRIES = 50
Pick = Callable[[int], tuple[np.ndarray, np.ndarray]]
"""What returns this number of random clips: their songs (num,) and audio (num, C, T)."""


def draw_clips(
    window: Window, rng: np.random.Generator, num: int, augment: AugmentConfig, sample_rate: int
) -> Tensor:
    """Returns a batch of augmented clips of one stream. Shape: -> (num, C, T)."""
    return torch.from_numpy(augmented(window.draw(rng, num)[1], rng, augment, sample_rate))


def draw_remix(
    windows: Sequence[Window],
    rng: np.random.Generator,
    num: int,
    augment: AugmentConfig,
    sample_rate: int,
) -> Tensor:
    """Returns one clip per source, never two of one song in one item (asserted).

    Shape: -> (num, K, C, T).

    Raises:
        UserError: the sources share so few songs that no such item was found in 50 tries.
    """
    songs: list[np.ndarray] = []
    columns = []
    fit = Fit(rng.random(num) < augment.align, sample_rate) if augment.align else None
    for window in windows:
        names, audio = window.draw(rng, num, fit)
        if redrawn(functools.partial(window.pick, rng), songs, names, audio).any():
            raise UserError(
                "cannot find clips of different songs for one mixture; every source needs clips of more songs"
            )
        songs.append(names)
        clips = augmented(audio, rng, augment, sample_rate)
        for probability in augment.extra:
            names, audio = _extra(window, rng, songs, probability)
            songs.append(names)
            clips = clips + augmented(audio, rng, augment, sample_rate)
        columns.append(silenced(clips, rng, augment.silence))
    assert all(map(_differ, zip(*songs, strict=True))), "two stems of one song in a remix"
    return torch.from_numpy(limited(np.stack(columns, 1), rng, augment.limiter, sample_rate))


def _differ(songs: Sequence[str | None]) -> bool:
    known = [song for song in songs if song is not None]
    return len(set(known)) == len(known)


def redrawn(pick: Pick, songs: Sequence[np.ndarray], names: np.ndarray, audio: np.ndarray) -> np.ndarray:
    """Picks others, in place, for clips whose song is already in their item; returns where none was found in
    50 tries.

    Args:
        pick: it returns clips of the same source.
        songs: the songs of the other clips of the items, (num,) each.
        names: the songs of the clips. Shape: (num,).
        audio: the clips. Shape: (num, C, T).

    Returns:
        bool (num,).
    """
    for tried in range(TRIES + 1):
        clash = np.any([names == other for other in songs], axis=0) if songs else np.zeros(len(names), bool)
        if not clash.any() or tried == TRIES:
            break
        # not a draw: workers must take equally many rows of a divided stream, or they wait for each other
        names[clash], audio[clash] = pick(int(clash.sum()))
    return clash


def _extra(
    window: Window, rng: np.random.Generator, songs: Sequence[np.ndarray], probability: float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns one more clip for each item, of another song, with a probability; else None and silence.

    Shape: -> (num,), (num, C, T).
    """
    names, audio = window.pick(rng, len(songs[0]))
    pick = functools.partial(window.pick, rng)
    left_out = redrawn(pick, songs, names, audio) | (rng.random(len(names)) >= probability)
    names[left_out], audio[left_out] = None, 0
    return names, audio
