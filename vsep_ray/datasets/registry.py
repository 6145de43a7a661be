"""All kinds of data sets behind two functions: `find` their tracks, `open_track` its audio."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from vsep_ray import storage
from vsep_ray.config import UserError
from vsep_ray.datasets import folders, manifest, musdb, slakh, streams, toy
from vsep_ray.datasets.streams import Stream
from vsep_ray.datasets.toy import ToyConfig
from vsep_ray.datasets.track import CropConfig, Track

Dataset = Literal["toy", "musdb18", "musdb18hq", "slakh", "stems", "sources", "manifest"]


def find(
    dataset: Dataset, root: str, *, mapping: Sequence[str] = (), toy_config: ToyConfig | None = None
) -> list[Track]:
    """The tracks of a data set, in an order that depends on nothing but its content.

    Args:
        root: folder, or the file of a manifest, or its URI; toy needs none.
        mapping: SOURCE=GLOB pairs of `stems.parse_rules`.

    Raises:
        UserError: there is no such folder, or nothing in it that this kind of data set could hold.
    """
    if dataset != "toy" and not root:
        raise UserError(f"--dataset {dataset} needs --root, the folder (or manifest) of the data set")
    match dataset:
        case "toy":
            return toy.tracks(toy_config or ToyConfig())
        case "musdb18":
            return musdb.stem_tracks(root)
        case "musdb18hq":
            return musdb.wav_tracks(root)
        case "slakh":
            return slakh.tracks(root, folders.parse_rules(mapping))
        case "manifest":
            return manifest.tracks(root)
        case "stems":
            return folders.folder_per_track(root, folders.parse_rules(mapping))
        case "sources":
            return folders.folder_per_source(root, folders.parse_rules(mapping))


def open_track(
    dataset: Dataset, track: Track, *, crop: CropConfig, toy_config: ToyConfig | None = None
) -> Mapping[str, Stream]:
    """A track's audio by source, at the rate, channels and length of ``crop``; sources may differ in length.

    Raises:
        BadFileError: at once or on the way, where a file of the track cannot be used.
    """
    match dataset:
        case "toy":
            waves = toy.render(track, toy_config or ToyConfig(), crop.sample_rate, crop.channels, crop.length)
            return {source: iter([wave]) for source, wave in waves.items()}
        case "musdb18":
            return musdb.open_stems(track, crop)
        case _:
            return streams.open_stems(track, crop)


def scales(dataset: Dataset, num: int) -> tuple[float, ...]:
    """The factors a_k of the mixing: 1 / K for toy waves (the mixture is their mean), 1 for stems."""
    return ((1 / num) if dataset == "toy" else 1.0,) * num


def select(tracks: Sequence[Track], sources: Sequence[str]) -> list[Track]:
    """Tracks with their stems of the given sources only; those that have none are left out.

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
    """The classes of a data set, sorted."""
    return tuple(sorted({s.source for t in tracks for s in t.stems}))


def paired(dataset: Dataset, tracks: Sequence[Track]) -> bool:
    """Whether the sources of one track belong together: not in a folder per source, nor in a manifest of
    clips."""
    return dataset not in ("sources", "manifest") or any(len(t.stems) > 1 or t.uri for t in tracks)


def listing(tracks: Sequence[Track], root: str) -> tuple[list[Any], list[int]]:
    """What a fingerprint takes of tracks: of each its id, split, and of every file source, path below the
    root, bytes and time of its last change; and the bytes of each track."""
    files = list(dict.fromkeys(uri for track in tracks for uri in track.files))
    stamps = dict(zip(files, storage.stamps(files), strict=True))
    entries = [
        [track.id, track.split, [(s, storage.relative(uri, root), *stamps[uri]) for s, uri in _uses(track)]]
        for track in tracks
    ]
    return entries, [sum(max(stamps[uri][0], 0) for uri in track.files) for track in tracks]


def _uses(track: Track) -> list[tuple[str, str]]:
    mixture = [("", track.uri)] if track.uri else []
    return mixture + [(s.source, uri) for s in track.stems for uri in s.uris]
