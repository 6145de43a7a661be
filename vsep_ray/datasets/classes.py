"""Multitracks say in metadata of their own which instrument a file holds; instruments are joined to sources.

An instrument is called by its class, in lower case, with ``_`` for all that is no letter or digit. The first
``SOURCE=GLOB`` pair that matches it says which source its files belong to: first those of ``--map``, then
those of the table that ``stems`` names. Files of the source ``-`` are left out.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import yaml

from vsep_ray import storage
from vsep_ray.config import UserError, option
from vsep_ray.datasets.dataset import FilesDataset
from vsep_ray.datasets.folders import Rule, parse_rules, source_of
from vsep_ray.datasets.track import MIXTURE, Track, track_of

LEFT_OUT = "-"
"""Files of this source are left out."""


@dataclass(frozen=True)
class MultitrackDataset(FilesDataset):
    """A data set of multitracks has a file per instrument, and a taxonomy of instruments."""

    tables: ClassVar[Mapping[str, tuple[str, ...]]]
    """The pairs of each table that ``stems`` can name; an instrument that none matches is its own source."""

    stems: Literal["four", "six", "own"] = "four"
    """Sources that the instruments are joined to. four: vocals, drums, bass, other. six: guitar and piano
    too. own: the classes of the data set itself."""
    map: tuple[str, ...] = option((), short="map")
    """SOURCE=GLOB pairs for instruments that another source than that of the table is wanted for; a file
    takes the first pair that matches it. Short form: --map."""
    bleed: bool = False
    """Also takes what the metadata says other instruments bleed into, by the microphones that it was
    recorded with; otherwise it is left out."""

    def song(self, id: str, files: Sequence[tuple[str, str]], mixture: Sequence[str] = ()) -> Track:
        """Returns the track of a song.

        Args:
            id: its name.
            files: the class and the URI of each file.
            mixture: the URI of the published mixture, if there is one.

        Raises:
            UserError: a pair of ``--map`` cannot be read.
        """
        by_source: dict[str, list[str]] = {}
        for name, uri in files:
            by_source.setdefault(self.source(name), []).append(uri)
        by_source.pop(LEFT_OUT, None)
        return track_of(storage.printable(id), by_source | ({MIXTURE: list(mixture)} if mixture else {}))

    def source(self, name: str) -> str:
        """Returns the source of a class; a class without a pair is its own source, by its first part."""
        return source_of(name, _rules((*self.map, *self.tables[self.stems])), name.partition("/")[0])

    def kept(self, songs: Sequence[Track], root: str) -> list[Track]:
        """Returns the songs that have stems.

        Raises:
            UserError: there are songs, and all their files are left out.
        """
        found = [song for song in songs if song.stems]
        if songs and not found:
            cure = "look at --map" if self.bleed else "--dataset.bleed takes what has bleed"
            raise UserError(f"all files of the {len(songs)} songs in {root} are left out; {cure}")
        return found


@functools.cache
def _rules(pairs: tuple[str, ...]) -> list[Rule]:
    return parse_rules(pairs)


def class_name(name: str) -> str:
    """Returns a class as it is called here.

    Example:
        >>> class_name("Strings (continued)"), class_name("Chromatic Percussion")
        ('strings_continued', 'chromatic_percussion')
    """
    return "_".join("".join(c if c.isalnum() else " " for c in name.lower()).split())


def from_yaml(content: bytes) -> Any:
    """Returns what a YAML file says, by the parser in C where PyYAML has it; plain values only."""
    return yaml.load(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


@contextlib.contextmanager
def reading(uri: str, kind: str, load: Callable[[bytes], Any], expected: str) -> Iterator[Any]:
    """Yields what a file of metadata says, to be taken apart within the context.

    Args:
        uri: the file.
        kind: the data set that it belongs to, for the message.
        load: it parses the file.
        expected: what should stand in it, for the message.

    Raises:
        UserError: the file cannot be parsed, or has another structure than the context takes it to have.
    """
    try:
        yield load(storage.read_bytes(uri))
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        came = " ".join(f"{type(error).__name__} {error}".split())
        raise UserError(
            f"{uri} is no metadata of {kind}: expected {expected}, got {came}; put the published file there"
        ) from error
