"""A hash of the song puts it into split train, valid or test, whatever else is in the data set."""

import dataclasses
import hashlib
from collections.abc import Sequence

from vsep_ray.config import UserError
from vsep_ray.datasets.track import Track


def assign(tracks: Sequence[Track], valid_fraction: float, test_fraction: float) -> list[Track]:
    """Returns the tracks with a split; those without one get test where hash(id) < test_fraction, valid in
    the next valid_fraction, else train.

    Tracks of one id share a split. Every source keeps something to train on: one whose songs all fell into
    valid or test gives its song of the largest hash back to train, so valid gets nothing rather than train
    losing its only song.

    Raises:
        UserError: the fractions are negative or leave nothing to train on.
    """
    if min(valid_fraction, test_fraction) < 0 or valid_fraction + test_fraction >= 1:
        raise UserError(
            "--valid-fraction and --test-fraction must not be negative and must add up to less than 1, "
            f"got {valid_fraction} and {test_fraction}"
        )
    given = {t.id: t.split for t in tracks if t.split}
    splits = {t.id: _split(fraction(t.id), valid_fraction, test_fraction) for t in tracks} | given
    for songs in _songs_by_source(tracks).values():
        free = songs - given.keys()
        if free and all(splits[song] != "train" for song in songs):
            splits[max(free, key=fraction)] = "train"
    return [dataclasses.replace(t, split=splits[t.id]) for t in tracks]


def fraction(song: str) -> float:
    """Returns a number in [0, 1) that is uniform over songs and depends on the id alone."""
    return int.from_bytes(hashlib.sha256(song.encode()).digest()[:6]) / 2**48


def _split(position: float, valid_fraction: float, test_fraction: float) -> str:
    if position < test_fraction:
        return "test"
    return "valid" if position < test_fraction + valid_fraction else "train"


def _songs_by_source(tracks: Sequence[Track]) -> dict[str, set[str]]:
    songs: dict[str, set[str]] = {}
    for track in tracks:
        for stem in track.stems:
            songs.setdefault(stem.source, set()).add(track.id)
    return dict(sorted(songs.items()))
