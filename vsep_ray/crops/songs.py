"""The same song in two crop stores is found by its name and length, and by its sound.

No training mixture of regime B may hold two stems of one song, from whatever stores, and no song may be
trained on that is held out elsewhere.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vsep_ray.config import UserError
from vsep_ray.crops.landmarks import likenesses
from vsep_ray.crops.listening import SHORTEST_SECONDS, Heard
from vsep_ray.datasets.folders import without_ending

LETTERS = 6
"""A name with fewer letters, such as track 01, says nothing."""
SHOWN = 5
"""A refusal names at most this number of songs."""


@dataclass(frozen=True)
class Known:
    """A track is known by this: what it has been heard of in all sources."""

    member: str
    track: str
    split: str
    seconds: float


@dataclass(frozen=True)
class Same:
    """Two tracks of different members are one song, as ``by`` says."""

    one: tuple[str, str]
    other: tuple[str, str]
    by: str


def tracks_of(heard: Iterable[Heard]) -> list[Known]:
    """Returns the tracks, sorted by member and id, each as long as its longest source."""
    found: dict[tuple[str, str], Known] = {}
    for h in heard:
        longest = max(h.seconds, found[h.key].seconds if h.key in found else 0.0)
        found[h.key] = Known(*h.key, h.split, longest)
    return [found[key] for key in sorted(found)]


def same_by_name(tracks: Sequence[Known], tolerance: Mapping[str, float]) -> list[Same]:
    """Returns pairs of tracks of different members whose names have the same letters and digits, whatever
    their case, and whose lengths differ by no more than a crop.

    Args:
        tracks: of all members.
        tolerance: seconds of a crop, by member.
    """
    by_name: dict[str, list[Known]] = {}
    for track in tracks:
        name = plain(track.track)
        if track.seconds >= SHORTEST_SECONDS and sum(c.isalpha() for c in name) >= LETTERS:
            by_name.setdefault(name, []).append(track)
    return [
        Same((a.member, a.track), (b.member, b.track), "name and length")
        for alike in by_name.values()
        for a, b in itertools.combinations(alike, 2)
        if a.member != b.member
        and abs(a.seconds - b.seconds) <= max(tolerance[a.member], tolerance[b.member])
    ]


def plain(name: str) -> str:
    """Returns the letters and digits of the last part of a name, in lower case.

    Example:
        >>> plain("A Classic Education - NightOwl"), plain("pop/AClassicEducation_NightOwl.wav")
        ('aclassiceducationnightowl', 'aclassiceducationnightowl')
    """
    last = without_ending(name.rpartition("/")[2])
    return "".join(c for c in last.casefold() if c.isalnum())


def same_by_sound(heard: Sequence[Heard]) -> list[Same]:
    """Returns pairs of tracks of different members that have a source, or the mixture, in common."""
    members = list(dict.fromkeys(h.member for h in heard))
    known = {m: [h for h in heard if h.member == m and len(h.marks.words)] for m in members}
    found: dict[tuple[tuple[str, str], tuple[str, str]], str] = {}
    for a, b in itertools.combinations(members, 2):
        alike = likenesses([h.marks for h in known[a]], [h.marks for h in known[b]])
        for like in alike:
            one, other = known[a][like.one], known[b][like.other]
            found.setdefault((one.key, other.key), f"sound of {one.count.source}")
    return [Same(one, other, by) for (one, other), by in found.items()]


def songs_of(tracks: Sequence[Known], pairs: Sequence[Same]) -> dict[tuple[str, str], str]:
    """Returns the song of each track, ``<member>/<track>`` of the first of those that are the same."""
    first = {(t.member, t.track): (t.member, t.track) for t in tracks}

    def root(key: tuple[str, str]) -> tuple[str, str]:
        while first[key] != key:
            key = first[key]
        return key

    for pair in pairs:
        low, high = sorted((root(pair.one), root(pair.other)))
        first[high] = low
    return {key: "/".join(root(key)) for key in first}


def held_out_elsewhere(
    tracks: Sequence[Known], songs: Mapping[tuple[str, str], str]
) -> dict[tuple[str, str], Known]:
    """Returns the tracks of split train whose song another member holds out: key -> the track there."""
    held = {songs[t.member, t.track]: t for t in tracks if t.split != "train"}
    keys = [(t.member, t.track) for t in tracks if t.split == "train"]
    return {key: held[songs[key]] for key in keys if songs[key] in held}


def refuse(leaks: Mapping[tuple[str, str], Known], pairs: Sequence[Same]) -> None:
    """Refuses songs that are trained on and held out.

    Raises:
        UserError: there is one; the message names the first of them, and the cure.
    """
    if not leaks:
        return
    by = {key: pair.by for pair in pairs for key in (pair.one, pair.other)}
    words = [
        f"{'/'.join(key)} is {t.member}/{t.track} of split {t.split} (by {by[key]})"
        for key, t in itertools.islice(leaks.items(), SHOWN)
    ]
    more = f" and {len(leaks) - SHOWN} more" if len(leaks) > SHOWN else ""
    raise UserError(
        f"{len(leaks)} tracks of split train are held out in another store: {'; '.join(words)}{more}; "
        "--duplicates drop leaves them out of the training"
    )
