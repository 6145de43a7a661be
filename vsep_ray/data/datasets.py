"""All kinds of data sets behind two functions: `find` their tracks, `load` a track's audio."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

from vsep_ray.audio.dsp import Audio
from vsep_ray.config import UserError
from vsep_ray.data import musdb, splits, stems, storage, toy
from vsep_ray.data.crops import CropConfig
from vsep_ray.data.toy import ToyConfig
from vsep_ray.data.track import Track

Dataset = Literal["toy", "musdb18", "musdb18hq", "stems", "sources"]


def find(
    dataset: Dataset, root: str, *, mapping: Sequence[str] = (), toy_config: ToyConfig | None = None
) -> list[Track]:
    """The tracks of a data set, in an order that depends on nothing but its content.

    Args:
        root: folder or URI; toy needs none.
        mapping: SOURCE=GLOB pairs of `stems.parse_rules`.

    Raises:
        UserError: there is no such folder, or nothing in it that this kind of data set could hold.
    """
    if dataset != "toy" and not root:
        raise UserError(f"--dataset {dataset} needs --root, the folder of the data set")
    match dataset:
        case "toy":
            return toy.tracks(toy_config or ToyConfig())
        case "musdb18":
            return musdb.stem_tracks(root)
        case "musdb18hq":
            return musdb.wav_tracks(root)
        case "stems":
            return stems.folder_per_track(root, stems.parse_rules(mapping))
        case "sources":
            return stems.folder_per_source(root, stems.parse_rules(mapping))


def load(
    dataset: Dataset, track: Track, *, crop: CropConfig, toy_config: ToyConfig | None = None
) -> dict[str, Audio]:
    """A track's audio by source, each (C, T) at the rate and channels of ``crop``; sources may differ in T.

    Raises:
        BadFileError: a file of the track cannot be used.
    """
    match dataset:
        case "toy":
            return toy.render(track, toy_config or ToyConfig(), crop.sample_rate, crop.channels, crop.length)
        case "musdb18":
            return musdb.load_stems(track, crop.sample_rate, crop.channels)
        case "musdb18hq" | "stems" | "sources":
            return stems.load(track, crop.sample_rate, crop.channels)


def scales(dataset: Dataset, num: int) -> tuple[float, ...]:
    """The factors a_k of the mixing: 1 / K for toy waves (the mixture is their mean), 1 for stems."""
    return ((1 / num) if dataset == "toy" else 1.0,) * num


def select(tracks: Sequence[Track], sources: Sequence[str]) -> list[Track]:
    """Tracks with their stems of the given sources only; those that have none are left out.

    Raises:
        UserError: no track has one of the sources.
    """
    found = sources_of(tracks)
    unknown = [s for s in sources if s not in found]
    if unknown:
        raise UserError(f"no {', '.join(unknown)} in this data set; it has {', '.join(found)} (see --map)")
    kept = (dataclasses.replace(t, stems=tuple(s for s in t.stems if s.source in sources)) for t in tracks)
    return [track for track in kept if track.stems]


def sources_of(tracks: Sequence[Track]) -> tuple[str, ...]:
    """The classes of a data set, sorted."""
    return tuple(sorted({s.source for t in tracks for s in t.stems}))


def split(
    dataset: Dataset, tracks: Sequence[Track], valid_fraction: float, test_fraction: float
) -> list[Track]:
    """Tracks with their split: the data set's own where it has splits, else by `splits.assign`."""
    own = dataset in ("toy", "musdb18", "musdb18hq")
    return list(tracks) if own else splits.assign(tracks, valid_fraction, test_fraction)


def listing(track: Track, root: str) -> list[Any]:
    """What a fingerprint takes of a track: id, split, and path below the root, source and bytes of every
    file."""
    base = root.partition("?")[0]
    files = [("", track.uri)] if track.uri else []
    files += [(s.source, uri) for s in track.stems for uri in s.uris]
    return [
        track.id,
        track.split,
        [(source, uri.removeprefix(base), storage.size(uri)) for source, uri in files],
    ]
