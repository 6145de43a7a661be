"""Every data set keeps the contract of `Dataset`; those that consist of sound files extend `FilesDataset`."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from typing_extensions import override

from vsep_ray import storage
from vsep_ray.config import UserError, option, short_name
from vsep_ray.datasets import streams
from vsep_ray.datasets.streams import Stream
from vsep_ray.datasets.track import CropConfig, Track


class Inventory(NamedTuple):
    """An inventory says what decides a data set's content, JSON-ready, and the bytes of each track."""

    content: Any
    sizes: list[int]


class Dataset(ABC):
    """A data set says where tracks are found, and how their audio is opened.

    To add one: write one file with a frozen ``XConfig`` that extends this class, or `FilesDataset` where it
    consists of sound files, and implements the abstract methods; add ``XConfig`` to the union
    `vsep_ray.datasets.registry.DatasetConfig`. ``--dataset x`` and the contract tests find it there. The
    README beside this file shows a whole one.
    """

    has_splits: ClassVar[bool] = False
    """Whether every track comes with its split."""
    needs_files: ClassVar[bool] = False
    """Whether it consists of files that somebody must have; otherwise it is made on the fly."""

    @property
    def name(self) -> str:
        """Its name on the command line and in a store."""
        return short_name(type(self))

    @abstractmethod
    def find(self) -> list[Track]:
        """Returns the tracks, in an order that depends on nothing but the content.

        Raises:
            UserError: there is nothing that this kind of data set could hold.
        """

    @abstractmethod
    def open(self, track: Track, crop: CropConfig) -> Mapping[str, Stream]:
        """Returns a track's audio by source, at the rate, channels and length of ``crop``; sources may differ
        in length.

        Raises:
            BadFileError: at once or on the way, where a file of the track cannot be used.
        """

    def glimpse(
        self, track: Track, crop: CropConfig, most: float
    ) -> tuple[float | None, Mapping[str, Stream]]:
        """Returns the length of a track (s), or None where only all of its audio tells, and what `open` does,
        or where less is made faster about ``most`` seconds of it.

        Raises:
            BadFileError: at once or on the way, where a file of the track cannot be used.
        """
        return None, self.open(track, crop)

    @abstractmethod
    def scales(self, num: int) -> tuple[float, ...]:
        """Returns the factors a_k by which ``num`` sources add up to the mixture."""

    @abstractmethod
    def paired(self, tracks: Sequence[Track]) -> bool:
        """Returns whether the sources of one track belong together."""

    @abstractmethod
    def inventory(self, tracks: Sequence[Track]) -> Inventory:
        """Returns what a store's fingerprint takes of the tracks: the same inventory, the same crops."""


@dataclass(frozen=True)
class FilesDataset(Dataset):
    """A data set of sound files lies in a folder, or in the table of a manifest."""

    root: str = option("", role="input", short="root")
    """Folder of the data set, or the manifest; local, s3:// or gs://. Short form: --root."""

    needs_files = True
    holds_songs: ClassVar[bool] = True
    """Whether the files of one track always belong together; else only where a track has several sources."""
    example: ClassVar[tuple[str, ...]]
    """The files below the root of a data set with one track, which tell a user what is expected; the contract
    tests write and read them."""

    @abstractmethod
    def tracks(self, root: str) -> list[Track]:
        """Returns the tracks below an absolute root, none where there are none."""

    def check_root(self) -> None:
        """Refuses a data set of which nobody says where it lies.

        Raises:
            UserError: with the files that are expected there.
        """
        if not self.root:
            words = f"--dataset {self.name} needs --root, the folder (or manifest) of the data set"
            raise UserError(f"{words}, with files such as {', '.join(self.example)}")

    @override
    def find(self) -> list[Track]:
        self.check_root()
        if found := self.tracks(storage.absolute(self.root)):
            return found
        raise UserError(
            f"no tracks in {self.root!r}; --dataset {self.name} expects files such as "
            f"{', '.join(self.example)}"
        )

    @override
    def open(self, track: Track, crop: CropConfig) -> Mapping[str, Stream]:
        return streams.open_stems(track, crop)

    @override
    def scales(self, num: int) -> tuple[float, ...]:
        return (1.0,) * num

    @override
    def paired(self, tracks: Sequence[Track]) -> bool:
        return self.holds_songs or any(len(t.stems) > 1 or t.uri for t in tracks)

    @override
    def inventory(self, tracks: Sequence[Track]) -> Inventory:
        """Returns of each track its id, its split, and of every file the source, the path below the root,
        bytes and time of its last change.
        """
        root = storage.absolute(self.root)
        files = list(dict.fromkeys(uri for track in tracks for uri in track.files))
        stamps = dict(zip(files, storage.stamps(files), strict=True))
        entries = [
            [t.id, t.split, [(s, storage.relative(uri, root), *stamps[uri]) for s, uri in t.uses]]
            for t in tracks
        ]
        return Inventory(entries, [sum(max(stamps[uri][0], 0) for uri in track.files) for track in tracks])
