"""Slakh2100 (Manilow et al., 2019; FLAC or wav) has instruments rendered apart, their classes in
metadata.yaml.

::

    <root>/{train,validation,test}/Track00001/metadata.yaml   stems: {S00: {inst_class: Bass, ...}, ...}
                                              mix.flac        kept beside the stem sum
                                              stems/S00.flac  ...

Tracks in no split are taken as well, but none of ``omitted``, where the published script puts what the redux
splits leave out (github.com/ethman/slakh-utils, splits/README.md). The splits of the first publication have
renderings of one MIDI file, which is the ``UUID`` of the metadata, in several splits: a track whose MIDI file
an earlier split has is left out, train being the first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from typing_extensions import override

from vsep_ray import storage
from vsep_ray.config import option
from vsep_ray.datasets.classes import class_name, from_yaml, reading
from vsep_ray.datasets.dataset import FilesDataset
from vsep_ray.datasets.folders import Rule, parse_rules, source_of
from vsep_ray.datasets.track import MIXTURE, Track, track_of

METADATA = "metadata.yaml"
SPLITS = {"train": "train", "validation": "valid", "test": "test"}
"""The splits by the names of their folders."""
ORDER = ("train", "valid", "test", "")
"""A song that several splits have stays in the first one."""


@dataclass(frozen=True)
class SlakhConfig(FilesDataset):
    """Slakh2100 has instruments rendered apart, their classes in metadata.yaml."""

    example = (f"train/Track00001/{METADATA}", "train/Track00001/stems/S00.flac")

    map: tuple[str, ...] = option((), short="map")
    """SOURCE=GLOB pairs for instrument classes, such as bass=bass other='*'; a file takes the first pair that
    matches it. Short form: --map."""

    @override
    def tracks(self, root: str) -> list[Track]:
        """Returns the tracks. A stem's source is that of the first rule that matches its class, else the
        class itself; in lower case, with ``_`` for all that is no letter or digit: ``strings_continued``.

        Stems that the metadata says were not rendered are left out; one that it says was, and that is not
        there, is a bad file.

        Raises:
            UserError: a rule or metadata cannot be read.
        """
        files = storage.list_files(root) if storage.is_directory(root) else []
        folders = [PurePosixPath(f).parent for f in files if PurePosixPath(f).name == METADATA]
        rules, known = parse_rules(self.map), set(files)
        taken = [folder for folder in folders if "omitted" not in folder.parts]
        return _without_leaks([_track(root, folder, known, rules) for folder in taken])


def _without_leaks(found: Sequence[tuple[str, Track]]) -> list[Track]:
    """Returns the tracks but for those whose MIDI file an earlier split has, or an earlier track in none."""
    owners: dict[str, Track] = {}
    for song, track in sorted(found, key=lambda entry: ORDER.index(entry[1].split)):
        owners.setdefault(song, track)
    alike = [(track, owners[song] if song else track) for song, track in found]
    return [t for t, owner in alike if t is owner or (t.split and t.split == owner.split)]


def _track(root: str, folder: PurePosixPath, files: set[str], rules: Sequence[Rule]) -> tuple[str, Track]:
    """Returns the name of the MIDI file, "" where it is not said, and the track."""
    uri = storage.join(root, str(folder))
    ending = next((e for e in (".flac", ".wav") if str(folder / f"mix{e}") in files), "")
    by_source = {MIXTURE: [storage.join(uri, f"mix{ending}")]} if ending else {}
    song, stems = _stems(storage.join(uri, METADATA))
    for stem, entry in stems.items():
        own = class_name(str(entry["inst_class"]))
        path = storage.join(uri, "stems", f"{stem}{ending or '.flac'}")
        by_source.setdefault(source_of(own, rules, own), []).append(path)
    split = next((SPLITS[p] for p in folder.parts if p in SPLITS), "")
    return song, track_of(folder.name, by_source, split)


def _stems(uri: str) -> tuple[str, dict[str, dict[str, Any]]]:
    with reading(uri, "Slakh", from_yaml, "stems: {S00: {inst_class: ...}}") as data:
        entries = sorted(data["stems"].items())
        stems = {name: e for name, e in entries if e.get("audio_rendered", True) and e["inst_class"]}
        return str(data.get("UUID") or ""), stems
