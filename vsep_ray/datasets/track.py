"""Recordings are described here, and the format that data sets are opened in. No class holds samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from vsep_ray.config import UserError

MIXTURE = "mixture"
"""The partition of this name holds sum_k a_k s_k."""
PUBLISHED = "mixture_published"
"""The partition of this name holds a data set's own mixtures, which mastering keeps from being the sum."""
Encoding = Literal["pcm", "flac"]


@dataclass(frozen=True, slots=True)
class Stem:
    """A stem is one source of one track: the sum of its files.

    Attributes:
        source: the class, such as ``"drums"``.
        uris: files (or toy wave descriptions) that are added up; they may differ in length, rate and
            channels.
    """

    source: str
    uris: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Track:
    """A track is a whole recording.

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
    def uses(self) -> list[tuple[str, str]]:
        """Source and URI of each file; the source of the mixture is ``""``."""
        mixture = [("", self.uri)] if self.uri else []
        return mixture + [(stem.source, uri) for stem in self.stems for uri in stem.uris]

    @property
    def files(self) -> tuple[str, ...]:
        """All that it is read from, each once."""
        return tuple(dict.fromkeys(uri for _, uri in self.uses))


def track_of(id: str, files: Mapping[str, Sequence[str]], split: str = "") -> Track:
    """Returns the track of files by source, in the order of the sources; those of `MIXTURE` are no stem, but
    its published mixture.

    Raises:
        UserError: it has several mixtures.
    """
    mixtures = files.get(MIXTURE, ("",))
    if len(mixtures) > 1:
        raise UserError(f"song {id!r} has several mixtures: {', '.join(mixtures)}; keep one")
    stems = (Stem(source, tuple(uris)) for source, uris in sorted(files.items()) if source != MIXTURE)
    return Track(id, mixtures[0], tuple(stems), split)


@dataclass(frozen=True)
class CropConfig:
    """The crops of a store have this format."""

    sample_rate: int = 8_000
    """Hz; everything is resampled to it once, when the store is made."""
    channels: int = 1
    """Audio channels: 1 averages, 2 duplicates a mono file and keeps the first two of more."""
    length: int = 1_024
    """Samples per crop; files are cut into crops one after the other, and silence fills up the last one."""
    encoding: Encoding = "pcm"
    """16-bit PCM, or FLAC: as exact, fewer bytes to keep and to send, more work to read."""

    def __post_init__(self) -> None:
        if min(self.sample_rate, self.channels, self.length) < 1:
            got = f"{self.sample_rate} Hz, {self.channels} channels, {self.length} samples"
            raise UserError(f"crops need a positive sample rate, channels and length, got {got}")
