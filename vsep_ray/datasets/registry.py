"""All kinds of data sets are listed here, and what a store takes of one: its sources and splits."""

import dataclasses
import hashlib
from collections.abc import Sequence

from vsep_ray.config import UserError
from vsep_ray.datasets.band import BandConfig
from vsep_ray.datasets.folders import SourcesConfig, StemsConfig
from vsep_ray.datasets.manifest import ManifestConfig
from vsep_ray.datasets.medleydb import MedleyDBConfig
from vsep_ray.datasets.midi import MidiConfig
from vsep_ray.datasets.moisesdb import MoisesDBConfig
from vsep_ray.datasets.musdb import MUSDB18Config, MUSDB18HQConfig
from vsep_ray.datasets.slakh import SlakhConfig
from vsep_ray.datasets.toy import ToyConfig
from vsep_ray.datasets.track import Track
from vsep_ray.datasets.voices import VoicesConfig

# The union of all data sets: a new one is one file and one name here.
DatasetConfig = (
    ToyConfig | StemsConfig | SourcesConfig | ManifestConfig
    | MUSDB18Config | MUSDB18HQConfig | SlakhConfig | MoisesDBConfig | MedleyDBConfig
    | MidiConfig | BandConfig | VoicesConfig
)  # fmt: skip


def select(tracks: Sequence[Track], sources: Sequence[str]) -> list[Track]:
    """Returns the tracks with their stems of the given sources only, without those that have none.

    Raises:
        UserError: no track has one of the sources, or a source is named twice.
    """
    found = sources_of(tracks)
    if not found:
        raise UserError("the data set has no stems; look at --root, --dataset and --map")
    if len(set(sources)) < len(sources):
        raise UserError(f"--sources {' '.join(sources)} names a source twice")
    unknown = [s for s in sources if s not in found]
    if unknown:
        raise UserError(f"no {', '.join(unknown)} in this data set; it has {', '.join(found)} (see --map)")
    kept = (dataclasses.replace(t, stems=tuple(s for s in t.stems if s.source in sources)) for t in tracks)
    return [track for track in kept if track.stems]


def sources_of(tracks: Sequence[Track]) -> tuple[str, ...]:
    """Returns the classes of a data set, sorted."""
    return tuple(sorted({s.source for t in tracks for s in t.stems}))


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
