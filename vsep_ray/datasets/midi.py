"""MIDI files become songs with exact stems, rendered by SoundFonts while crops are prepared.

No audio is kept: a song is performed and rendered when it is opened, and is the same at every opening.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from typing_extensions import override

from vsep_ray import storage
from vsep_ray.audio.formats import SCARCE, AudioError, is_hidden
from vsep_ray.config import UserError
from vsep_ray.datasets.dataset import FilesDataset, Inventory
from vsep_ray.datasets.rendered import RenderedDataset
from vsep_ray.datasets.track import Stem, Track
from vsep_ray.music.score import Score, read

ENDINGS = (".mid", ".midi", ".kar")
LIST_ENDING = ".txt"
TYPICAL_SECONDS = 180
"""How long a song is likely to be before anybody has looked into its file."""


@dataclass(frozen=True)
class MidiConfig(RenderedDataset, FilesDataset):
    """MIDI files are rendered by SoundFonts, with a stem for each family of instruments."""

    example = ("song.mid", "album/song.midi")

    @override
    def tracks(self, root: str) -> list[Track]:
        """Returns a track per MIDI file below a folder, or of a list: a text file with a path per line,
        relative to the list's folder or to the one above it. Every track has all sources of the table.

        Raises:
            UserError: what `StemsRecipe.check` refuses, or a list that cannot be read.
        """
        self.check()
        is_list = storage.suffix(root) == LIST_ENDING and not storage.is_directory(root)
        folder, names = _listed(root) if is_list else (root, _found(root))
        return [self._track(storage.join(folder, name), storage.printable(name)) for name in names]

    @override
    def inventory(self, tracks: Sequence[Track]) -> Inventory:
        """Returns the recipe and the files. In the place of their bytes, which say little, stand those of the
        sound.
        """
        size = self.bytes_of_song(self.seconds or TYPICAL_SECONDS)
        return Inventory([*self.ingredients(), super().inventory(tracks).content], [size] * len(tracks))

    def _track(self, uri: str, name: str) -> Track:
        return Track(name, stems=tuple(Stem(source, (uri,)) for source in sorted(self.table.sources)))

    @override
    def score(self, track: Track) -> Score:
        (uri,) = track.files
        return read(_content(uri))


def _content(uri: str) -> bytes:
    try:
        return storage.read_bytes(uri)
    except OSError as error:
        if error.errno in SCARCE:
            raise
        raise AudioError("read", error.strerror or str(error)) from error


def _found(root: str) -> list[str]:
    names = storage.list_files(root) if storage.is_directory(root) else []
    return [name for name in names if storage.suffix(name) in ENDINGS and not is_hidden(name)]


def _listed(uri: str) -> tuple[str, list[str]]:
    """Returns the folder that the paths of a list are relative to, and the paths, each once."""
    if storage.size(uri) < 0:
        raise UserError(f"list {uri!r} is not there")
    try:
        lines = storage.read_bytes(uri).decode().splitlines()
    except UnicodeDecodeError as error:
        raise UserError(
            f"list {uri!r} is no text in UTF-8; expected a path of a MIDI file per line"
        ) from error
    names = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    here = storage.parent(uri)
    folders = [
        f for f in (here, storage.parent(here)) if any(storage.exists(storage.join(f, n)) for n in names)
    ]
    return (folders or [here])[0], names
