"""Slakh2100 (Manilow et al., 2019; FLAC or wav) has instruments rendered apart, their classes in
metadata.yaml.

::

    <root>/{train,validation,test}/Track00001/metadata.yaml   stems: {S00: {inst_class: Bass, ...}, ...}
                                              mix.flac        kept beside the stem sum
                                              stems/S00.flac  ...

Tracks in no split are taken as well, but none of ``omitted``, the data set's folder of duplicates.
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
        return [_track(root, folder, known, rules) for folder in folders if "omitted" not in folder.parts]


def _track(root: str, folder: PurePosixPath, files: set[str], rules: Sequence[Rule]) -> Track:
    uri = storage.join(root, str(folder))
    ending = next((e for e in (".flac", ".wav") if str(folder / f"mix{e}") in files), "")
    by_source = {MIXTURE: [storage.join(uri, f"mix{ending}")]} if ending else {}
    for stem, entry in _stems(storage.join(uri, METADATA)).items():
        own = class_name(str(entry["inst_class"]))
        path = storage.join(uri, "stems", f"{stem}{ending or '.flac'}")
        by_source.setdefault(source_of(own, rules, own), []).append(path)
    return track_of(folder.name, by_source, next((SPLITS[p] for p in folder.parts if p in SPLITS), ""))


def _stems(uri: str) -> dict[str, dict[str, Any]]:
    with reading(uri, "Slakh", from_yaml, "stems: {S00: {inst_class: ...}}") as data:
        entries = sorted(data["stems"].items())
        return {name: e for name, e in entries if e.get("audio_rendered", True) and e["inst_class"]}
