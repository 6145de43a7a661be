"""Folders of single-source files: a folder per track (stems that belong together) or a folder per source
(clips that do not).

Which source a file belongs to is said by the first ``SOURCE=GLOB`` pair that matches it, else by the name of
the first folder on its path, or of the file itself where there is none. ``*`` in a glob also crosses ``/``; a
folder's name stands for all in it.
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
from vsep_ray.audio.formats import AUDIO_ENDINGS
from vsep_ray.config import UserError, option
from vsep_ray.datasets.dataset import FilesDataset
from vsep_ray.datasets.track import MIXTURE, Stem, Track


@dataclass(frozen=True)
class Rule:
    """Files that match ``pattern`` belong to ``source``."""

    source: str
    pattern: str

    def matches(self, name: str) -> bool:
        """Whether the pattern names this file or a folder that it is in."""
        return any(fnmatch.fnmatchcase(name, p) for p in (self.pattern, f"{self.pattern.rstrip('/')}/*"))


@dataclass(frozen=True)
class StemsConfig(FilesDataset):
    """A folder per track, whose stems belong together."""

    example = ("song/drums.wav", "song/bass.wav", "song/mixture.wav")

    map: tuple[str, ...] = option((), short="map")
    """SOURCE=GLOB pairs for files that do not have the name of their source, relative to each track folder,
    such as bass='bassguitar.*'; a file takes the first pair that matches it.
    Short form: --map."""

    @override
    def tracks(self, root: str) -> list[Track]:
        return folder_per_track(root, parse_rules(self.map))


@dataclass(frozen=True)
class SourcesConfig(FilesDataset):
    """A folder per source, with clips that belong to no common mixture."""

    holds_songs = False
    example = ("drums/song.wav", "bass/song.wav")

    map: tuple[str, ...] = option((), short="map")
    """SOURCE=GLOB pairs for folders that do not have the name of their source, relative to the root, such as
    bass='killerbass/*'; a file takes the first pair that matches it.
    Short form: --map."""

    @override
    def tracks(self, root: str) -> list[Track]:
        return folder_per_source(root, parse_rules(self.map))


def parse_rules(pairs: Iterable[str]) -> list[Rule]:
    """Rules from ``SOURCE=GLOB`` pairs.

    Raises:
        UserError: a pair without ``=``, source or glob.
    """
    rules = []
    for pair in pairs:
        source, _, pattern = pair.partition("=")
        if not source or not pattern:
            raise UserError(f"--map {pair!r}: expected SOURCE=GLOB, such as bass='killerbass/*'")
        rules.append(Rule(source, pattern))
    return rules


def folder_per_track(root: str, rules: Sequence[Rule] = ()) -> list[Track]:
    """Tracks whose stems lie in one folder each: ``<root>/<track>/<source>.wav`` or
    ``<root>/<track>/<source>/*.wav``.

    A root that holds sound files itself is a single track. Several files of one source are summed. A file
    named ``mixture`` is the track's published mixture, not a stem. Patterns are relative to the track's
    folder; ids are the folders' names.

    Raises:
        UserError: no sound file in any folder below the root.
    """
    files = _audio_files(root)
    if any("/" not in name for name in files):
        return [
            _track(
                root, storage.local_path(root).name if not storage.is_remote(root) else "track", files, rules
            )
        ]
    folders: dict[str, list[str]] = {}
    for name in files:
        folder, _, rest = name.partition("/")
        folders.setdefault(folder, []).append(rest)
    return [_track(storage.join(root, folder), folder, names, rules) for folder, names in folders.items()]


def folder_per_source(root: str, rules: Sequence[Rule] = ()) -> list[Track]:
    """Clips of one source each: ``<root>/<source>/<song>.wav``, or as the rules say; each file is one track
    with one stem.

    ``id`` names the *song*, which clips of several sources may share and a remix never joins: the first name
    on the path that the pattern's leading folders (by default the source's folder) do not spell out.
    ``vocals/a.wav``, ``bass/a/slap.wav``, ``set/bass/a.wav`` by ``bass='set/bass/*'`` and ``a/vocals.wav`` by
    ``vocals='*/vocals.wav'`` are all of song ``a``. So all below one folder is one song: better to keep clips
    apart that could be mixed than to mix two stems of one song. Patterns are relative to the root.

    Raises:
        UserError: no sound file below the root, or one that neither a folder nor a rule gives a source.
    """
    return [_clip(root, name, _rule_of(root, name, rules)) for name in _audio_files(root)]


def without_ending(name: str) -> str:
    """A file name without its audio ending; other dots stay.

    Example:
        >>> without_ending("drums.take 2.WAV"), without_ending("vol. 2")
        ('drums.take 2', 'vol. 2')
    """
    suffix = PurePosixPath(name).suffix
    return name.removesuffix(suffix) if suffix.lower() in AUDIO_ENDINGS else name


def _audio_files(root: str) -> list[str]:
    """Everything below the root with an audio ending, damaged or not; also a directory that is named like a
    file."""
    if not storage.is_directory(root):
        raise UserError(f"--root {root!r} is not a folder")
    names = set(storage.list_files(root))
    if not storage.is_remote(root):
        local = storage.local_path(root)
        names |= {p.relative_to(local).as_posix() for p in local.rglob("*.*") if p.is_dir()}
    found = sorted(n for n in names if PurePosixPath(n).suffix.lower() in AUDIO_ENDINGS and not _is_hidden(n))
    if not found:
        raise UserError(f"no sound file below {root}; known endings are {' '.join(sorted(AUDIO_ENDINGS))}")
    return found


def _is_hidden(name: str) -> bool:
    """Whether a file is one that the system keeps beside the user's, such as those of a zip made on a Mac."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _track(folder: str, name: str, files: Sequence[str], rules: Sequence[Rule]) -> Track:
    by_source: dict[str, list[str]] = {}
    for file in files:
        by_source.setdefault(_source_in_track(file, rules), []).append(storage.join(folder, file))
    mixtures = by_source.pop(MIXTURE, [""])
    if len(mixtures) > 1:
        raise UserError(f"{folder} has several mixtures: {', '.join(mixtures)}; keep one")
    stems = tuple(Stem(storage.printable(source), tuple(uris)) for source, uris in sorted(by_source.items()))
    return Track(id=storage.printable(name), uri=mixtures[0], stems=stems)


def _source_in_track(file: str, rules: Sequence[Rule]) -> str:
    own_name = without_ending(file.partition("/")[0])
    return next((r.source for r in rules if r.matches(file)), own_name)


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
    spelled_out = itertools.takewhile(_is_plain, pattern.rstrip("/").split("/"))
    return without_ending(parts[min(len(list(spelled_out)), len(parts) - 1)])


def _is_plain(part: str) -> bool:
    """Whether a part of a pattern stands for itself."""
    return not set(re.sub(r"\[[*?[]\]", "", part)) & set("*?[")
