"""Folders hold single-source files: a folder per track (stems that belong together) or a folder per source
(clips that do not).

The first ``SOURCE=GLOB`` pair that matches a file says which source it belongs to, else the name of the first
folder on its path, or of the file itself where there is none. ``*`` in a glob also crosses ``/``; a folder's
name stands for all in it.
"""

import fnmatch
import glob
import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from typing_extensions import override

from vsep_ray import storage
from vsep_ray.audio.formats import AUDIO_ENDINGS, is_sound
from vsep_ray.config import UserError, option
from vsep_ray.datasets.dataset import FilesDataset
from vsep_ray.datasets.track import Stem, Track, track_of


@dataclass(frozen=True)
class Rule:
    """Files that match ``pattern`` belong to ``source``."""

    source: str
    pattern: str

    def matches(self, name: str) -> bool:
        """Returns whether the pattern names this file or a folder that it is in."""
        return any(fnmatch.fnmatchcase(name, p) for p in (self.pattern, f"{self.pattern.rstrip('/')}/*"))


@dataclass(frozen=True)
class StemsConfig(FilesDataset):
    """A folder per track holds stems that belong together."""

    example = ("song/drums.wav", "song/bass.wav", "song/mixture.wav")

    map: tuple[str, ...] = option((), short="map")
    """SOURCE=GLOB pairs for files that do not have the name of their source, relative to each track folder,
    such as bass='bassguitar.*'; a file takes the first pair that matches it.
    Short form: --map."""

    def __post_init__(self) -> None:
        parse_rules(self.map)

    @override
    def tracks(self, root: str) -> list[Track]:
        """Returns a track per folder: ``<root>/<track>/<source>.wav`` or ``<root>/<track>/<source>/*.wav``.

        A root that holds sound files itself is a single track. Several files of one source are summed. A file
        named ``mixture`` is the track's published mixture, not a stem. Ids are the folders' names.

        Raises:
            UserError: a rule cannot be read, no folder below the root has a sound file, or one has several
                mixtures.
        """
        rules, files = parse_rules(self.map), _audio_files(root)
        song = 0 if any("/" not in name for name in files) else 1
        _check_used(rules, ["/".join(name.split("/")[song:]) for name in files], root)
        if any("/" not in name for name in files):
            name = "track" if storage.is_remote(root) else storage.local_path(root).name
            return [_track(root, name, files, rules)]
        folders: dict[str, list[str]] = {}
        for name in files:
            folder, _, rest = name.partition("/")
            folders.setdefault(folder, []).append(rest)
        return [_track(storage.join(root, name), name, files, rules) for name, files in folders.items()]


@dataclass(frozen=True)
class SourcesConfig(FilesDataset):
    """A folder per source holds clips that belong to no common mixture."""

    holds_songs = False
    example = ("drums/song.wav", "bass/song.wav")

    map: tuple[str, ...] = option((), short="map")
    """SOURCE=GLOB pairs for folders that do not have the name of their source, relative to the root, such as
    bass='killerbass/*'; a file takes the first pair that matches it.
    Short form: --map."""

    def __post_init__(self) -> None:
        parse_rules(self.map)

    @override
    def tracks(self, root: str) -> list[Track]:
        """Returns a track of one stem per clip: ``<root>/<source>/<song>.wav``, or as the rules say.

        ``id`` names the *song*, which clips of several sources may share and a remix never joins: the first
        name on the path that the pattern's leading folders (by default the source's folder) do not spell out.
        ``vocals/a.wav``, ``bass/a/slap.wav``, ``set/bass/a.wav`` by ``bass='set/bass/*'`` and
        ``a/vocals.wav`` by ``vocals='*/vocals.wav'`` are all of song ``a``. So all below one folder is one
        song: better to keep clips apart that could be mixed than to mix two stems of one song.

        Raises:
            UserError: a rule cannot be read, no sound file lies below the root, or neither a folder nor a
                rule gives one a source.
        """
        rules, files = parse_rules(self.map), _audio_files(root)
        _check_used(rules, files, root)
        return [_clip(root, name, _rule_of(root, name, rules)) for name in files]


def parse_rules(pairs: Sequence[str]) -> list[Rule]:
    """Returns the rules of ``SOURCE=GLOB`` pairs.

    Raises:
        UserError: a pair has no ``=``, source or glob.
    """
    if wrong := [pair for pair in pairs if not all(pair.partition("=")[::2])]:
        raise UserError(f"--map {wrong[0]!r}: expected SOURCE=GLOB, such as bass='bassguitar/*'")
    return [Rule(*pair.partition("=")[::2]) for pair in pairs]


def _check_used(rules: Sequence[Rule], names: Sequence[str], root: str) -> None:
    """Refuses a pair that no file takes: it has a typing error, or stands behind one that takes all of it.

    Raises:
        UserError: the pair, and whether another one takes what it matches.
    """
    taken = {next((rule for rule in rules if rule.matches(name)), None) for name in names}
    for rule in (r for r in rules if r not in taken):
        shadowed = any(map(rule.matches, names))
        why = "earlier pairs take all files that it matches" if shadowed else f"no sound file in {root} does"
        words = f"--map {rule.source}={rule.pattern!r} must match files: {why}"
        raise UserError(f"{words}; one there is called {names[0]}")


def source_of(name: str, rules: Iterable[Rule], otherwise: str) -> str:
    """Returns the source of the first rule that matches a name."""
    return next((rule.source for rule in rules if rule.matches(name)), otherwise)


def without_ending(name: str) -> str:
    """Returns a file name without its audio ending; other dots stay.

    Example:
        >>> without_ending("drums.take 2.WAV"), without_ending("vol. 2")
        ('drums.take 2', 'vol. 2')
    """
    suffix = PurePosixPath(name).suffix
    return name.removesuffix(suffix) if suffix.lower() in AUDIO_ENDINGS else name


def _audio_files(root: str) -> list[str]:
    """Returns everything below the root with an audio ending, damaged or not; also a directory that is named
    like a file.
    """
    if not storage.is_directory(root):
        raise UserError(f"--root {root!r} is not a folder")
    names = set(storage.list_files(root))
    if not storage.is_remote(root):
        local = storage.local_path(root)
        names |= {p.relative_to(local).as_posix() for p in local.rglob("*.*") if p.is_dir()}
    if found := sorted(filter(is_sound, names)):
        return found
    raise UserError(f"no sound file below {root}; known endings are {' '.join(sorted(AUDIO_ENDINGS))}")


def _track(folder: str, name: str, files: Sequence[str], rules: Sequence[Rule]) -> Track:
    by_source: dict[str, list[str]] = {}
    for file in files:
        source = source_of(file, rules, without_ending(file.partition("/")[0]))
        by_source.setdefault(storage.printable(source), []).append(storage.join(folder, file))
    return track_of(storage.printable(name), by_source)


def _rule_of(root: str, name: str, rules: Sequence[Rule]) -> Rule:
    for rule in rules:
        if rule.matches(name):
            return rule
    folder, slash, _ = name.partition("/")
    if not slash:
        raise UserError(
            f"{storage.join(root, name)} is in no source's folder; say with --map which source it is of"
        )
    return Rule(folder, glob.escape(folder) + "/*")


def _clip(root: str, name: str, rule: Rule) -> Track:
    song = storage.printable(_song(name, rule.pattern))
    return Track(song, stems=(Stem(storage.printable(rule.source), (storage.join(root, name),)),))


def _song(name: str, pattern: str) -> str:
    parts = name.split("/")
    # a part of a pattern without wildcards stands for itself
    spelled_out = itertools.takewhile(
        lambda part: not set(re.sub(r"\[[*?[]\]", "", part)) & set("*?["), pattern.rstrip("/").split("/")
    )
    return without_ending(parts[min(len(list(spelled_out)), len(parts) - 1)])
