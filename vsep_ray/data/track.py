"""Metadata of recordings. No class here ever holds samples."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stem:
    """One source of one track: the files whose sum is that source.

    Attributes:
        source: the class, such as ``"drums"``.
        uris: files (or toy wave descriptions) that are added up; they may differ in length, rate and
            channels.
    """

    source: str
    uris: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Track:
    """A whole recording.

    Attributes:
        id: unique and stable within its dataset or catalog; for a catalog the path relative to its root,
            with ``/``.
        uri: the mixture's file, or ``""`` where only stems exist.
        stems: its sources, where they are known; a folder-per-source clip has one stem.
        split: ``"train"``, ``"valid"`` or ``"test"``; ``""`` where the data set does not say. A track is in
            one split only.
    """

    id: str
    uri: str = ""
    stems: tuple[Stem, ...] = ()
    split: str = ""

    @property
    def files(self) -> tuple[str, ...]:
        """All that it is read from, each once."""
        uris = [self.uri] if self.uri else []
        return tuple(dict.fromkeys(uris + [uri for stem in self.stems for uri in stem.uris]))
