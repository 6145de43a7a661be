"""MoisesDB (Pereira et al., 2023) has 240 songs, a file per instrument, their classes in data.json.

::

    <root>/moisesdb_v0.1/<song>/data.json          {"song": ..., "artist": ..., "stems": [
                                                     {"stemName": "bass", "tracks": [
                                                       {"id": ..., "trackType": "bass_guitar",
                                                        "extension": "wav", "has_bleed": false}, ...]}, ...]}
                                /bass/<id>.wav      ...

Songs may lie at any depth below the root. The layout is that which the published package reads
(github.com/moises-ai/moises-db: README.md; moisesdb/dataset.py looks for ``data.json``, moisesdb/track.py
joins ``<stemName>/<id>.<extension>`` and adds files up). The tables are its ``mix_4_stems`` and
``mix_6_stems`` (moisesdb/defaults.py), where percussion is of ``other``. A song has no mixture of its own,
and the data set has no splits.

Where this differs: files with bleed are left out unless ``bleed`` is set, since a class is to hold nothing
but itself, and shorter files end in silence, where the package cuts all to the shortest.

Reference:
    Igor Pereira, Felipe Araújo, Filip Korzeniowski, Richard Vogl. MoisesDB: A dataset for source separation
    beyond 4-stems. ISMIR 2023. https://arxiv.org/abs/2307.15913
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

from typing_extensions import override

from vsep_ray import storage
from vsep_ray.datasets.classes import MultitrackDataset, class_name, reading
from vsep_ray.datasets.track import Track

METADATA = "data.json"
EXPECTED = '{"stems": [{"stemName": ..., "tracks": [{"id": ..., "trackType": ..., "extension": ...}]}]}'

_THREE = ("vocals=vocals", "drums=drums", "bass=bass")


@dataclass(frozen=True)
class MoisesDBConfig(MultitrackDataset):
    """MoisesDB has a file per instrument, their classes in data.json."""

    example = (f"moisesdb_v0.1/song/{METADATA}", "moisesdb_v0.1/song/drums/id.wav")
    tables = MappingProxyType({
        "four": (*_THREE, "other=*"),
        "six": (*_THREE, "guitar=guitar", "piano=piano", "other=*"),
        "own": (),
    })  # fmt: skip

    @override
    def tracks(self, root: str) -> list[Track]:
        """Returns a track per song; its id is the name of the folder.

        A class that rules match is stem and instrument, as in ``bass/bass_guitar`` and
        ``percussion/a_tonal_percussion_claps_shakers_congas_cowbell_etc``; the name of a stem stands for all
        its instruments. A stem without files is silent, and a file that the metadata names and that is not
        there is a bad file.

        Raises:
            UserError: a rule or metadata cannot be read, or all files have bleed.
        """
        paths = map(PurePosixPath, storage.list_files(root) if storage.is_directory(root) else [])
        return self.kept([self._song(root, path.parent) for path in paths if path.name == METADATA], root)

    def _song(self, root: str, folder: PurePosixPath) -> Track:
        uri = storage.join(root, *folder.parts)
        with reading(storage.join(uri, METADATA), "MoisesDB", json.loads, EXPECTED) as data:
            files = [(name, storage.join(uri, path)) for name, path in self._files(data)]
        return self.song(folder.name or "song", files)

    def _files(self, data: Any) -> Iterator[tuple[str, str]]:
        """Yields the class and the path of each file that is taken."""
        for stem in data["stems"]:
            for file in stem["tracks"]:
                if self.bleed or not file.get("has_bleed"):
                    name = f"{class_name(stem['stemName'])}/{class_name(file['trackType'])}"
                    yield name, f"{stem['stemName']}/{file['id']}.{file['extension']}"
