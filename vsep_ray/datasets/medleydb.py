"""MedleyDB 1 and 2 (Bittner et al., 2014 and 2016) have stems whose instruments stand in YAML files.

::

    <root>/Audio/<Artist_Title>/<Artist_Title>_METADATA.yaml       has_bleed: 'no'
                                                                   stems: {S01: {instrument: piano, component:
                                                                     melody, filename: ..., raw: ...}, ...}
                                <Artist_Title>_MIX.wav             kept beside the stem sum
                                <Artist_Title>_STEMS/<Artist_Title>_STEM_01.wav  ...
                                <Artist_Title>_RAW/...             not read

The layout is that which the published package reads (github.com/marl/medleydb: medleydb/multitrack.py has the
names of files, medleydb/resources/taxonomy.yaml the instruments). Songs may lie at any depth below the root.
The archives of the audio have no metadata in them: those of all songs lie in medleydb/data/Metadata of the
package, which may be copied below the root or named by ``metadata``. The data set has no splits, and its mix
is not quite the sum of its stems.

The tables: all voices but crowds are ``vocals``; ``drums`` are drum sets, drum machines and the percussion
that the package calls unpitched (medleydb/resources/instrument_f0_type.json); ``bass`` is electric bass,
double bass, and a synthesizer that plays the bass line (its ``component``). Guitars and pianos may be
electric. ``Main System``, microphones that hear the whole room, is left out.

A song with bleed is left out unless ``bleed`` is set. So are songs whose stems ERRATA.md of the package says
have bleed that the metadata does not tell of, and those with one stem for instruments of several sources;
where it is taken, such a stem is of the source of its first instrument.

Reference:
    Rachel Bittner, Justin Salamon, Mike Tierney, Matthias Mauch, Chris Cannam, Juan Bello. MedleyDB: A
    multitrack dataset for annotation-intensive MIR research. ISMIR 2014.

    Rachel Bittner, Julia Wilkins, Hanna Yip, Juan Bello. MedleyDB 2.0: New data and a system for sustainable
    data collection. ISMIR 2016, late-breaking.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

from typing_extensions import override

from vsep_ray import storage
from vsep_ray.config import UserError, option
from vsep_ray.datasets.classes import MultitrackDataset, class_name, from_yaml, reading
from vsep_ray.datasets.track import Track

METADATA, MIX, STEMS = "_METADATA.yaml", "_MIX.wav", "_STEMS"
EXPECTED = "has_bleed: yes or no, and stems: {S01: {instrument: ..., filename: ...}}"
BLEED = frozenset((
    "BrandonWebster_DontHearAThing", "ClaraBerryAndWooldog_Boys", "LizNelson_ImComingHome",
    "Lushlife_ToynbeeSuite", "TheScarletBrand_LesFleursDuMal",
))  # fmt: skip
"""Songs whose stems have bleed that the metadata does not tell of, by the package's ERRATA.md."""

_PERCUSSION = """*drum* toms bongo conga tambourine darbuka doumbek tabla auxiliary_percussion triangle
    sleigh_bells cowbell cabasa high_hat gong guiro gu cymbal castanet claps snaps rattle shaker maracas"""
_VOICES = "*_singer *_speaker *_rapper *_screamer vocalists choir beatboxing"
_THREE = (
    "-=main_system",
    *(f"vocals={name}" for name in _VOICES.split()),
    *(f"drums={name}" for name in _PERCUSSION.split()),
    *(f"bass={name}" for name in ("electric_bass", "double_bass", "synthesizer/bass")),
)


@dataclass(frozen=True)
class MedleyDBConfig(MultitrackDataset):
    """MedleyDB has a file per stem, their instruments in YAML files."""

    example = (
        f"Audio/Artist_Title/Artist_Title{METADATA}",
        f"Audio/Artist_Title/Artist_Title{STEMS}/Artist_Title_STEM_01.wav",
    )
    tables = MappingProxyType({
        "four": (*_THREE, "other=*"),
        "six": (*_THREE, "guitar=*_guitar", "piano=*piano", "other=*"),
        "own": (),
    })  # fmt: skip

    metadata: str = option("", role="input")
    """Folder with the files of metadata, local, s3:// or gs://, such as medleydb/data/Metadata of a clone of
    github.com/marl/medleydb; default: they lie below the root."""

    @override
    def tracks(self, root: str) -> list[Track]:
        """Returns a track per song that has audio below the root; its id is ``Artist_Title``.

        A class that rules match is instrument and component, as in ``double_bass``, ``synthesizer/bass`` and
        ``flute/melody``; an instrument stands for all its components. A file that the metadata names and that
        is not there is a bad file.

        Raises:
            UserError: a rule or metadata cannot be read, a song has no metadata, or all songs have bleed.
        """
        files = _visible(root)
        homes, described = _homes(files), _described(root, files)
        if self.metadata:
            place = storage.absolute(self.metadata)
            described |= _described(place, _visible(place))
        if lacking := sorted(homes.keys() - described.keys()):
            raise UserError(
                f"{storage.join(root, *homes[lacking[0]].parts)} and {len(lacking) - 1} more songs have no "
                f"metadata; expected {lacking[0]}{METADATA} below --root or in --dataset.metadata, such as "
                "medleydb/data/Metadata of a clone of https://github.com/marl/medleydb"
            )
        known = set(files)
        return self.kept([self._song(root, homes[s], s, described[s], known) for s in sorted(homes)], root)

    def _song(self, root: str, home: PurePosixPath, song: str, uri: str, known: set[str]) -> Track:
        with reading(uri, "MedleyDB", from_yaml, EXPECTED) as data:
            bleed = song in BLEED or data["has_bleed"] in ("yes", True)
            stems = [_stem(entry) for _, entry in sorted(data["stems"].items())]
        bleed = bleed or any(len(set(map(self.source, names))) > 1 for names, _ in stems)
        if bleed and not self.bleed:
            return Track(song)
        folder = storage.join(root, *home.parts)
        files = [(names[0], storage.join(folder, song + STEMS, name)) for names, name in stems]
        mixture = [storage.join(folder, song + MIX)] if str(home / (song + MIX)) in known else []
        return self.song(song, files, mixture)


def _visible(root: str) -> list[str]:
    """Returns the files below a folder but for those that macOS leaves beside them in archives."""
    files = storage.list_files(root) if storage.is_directory(root) else []
    return [file for file in files if not PurePosixPath(file).name.startswith(".")]


def _described(root: str, files: Iterable[str]) -> dict[str, str]:
    """Returns the URI of each song's metadata."""
    names = {PurePosixPath(file).name: file for file in files}
    return {n.removesuffix(METADATA): storage.join(root, f) for n, f in names.items() if n.endswith(METADATA)}


def _homes(files: Iterable[str]) -> dict[str, PurePosixPath]:
    """Returns the folder of each song that has audio."""
    homes: dict[str, PurePosixPath] = {}
    for path in map(PurePosixPath, files):
        if path.name.endswith(MIX):
            homes.setdefault(path.name.removesuffix(MIX), path.parent)
        elif path.parent.name.endswith(STEMS):
            homes.setdefault(path.parent.name.removesuffix(STEMS), path.parent.parent)
    return homes


def _stem(entry: Mapping[str, Any]) -> tuple[list[str], str]:
    """Returns the classes of a stem, of which there are several where instruments share it, and its file."""
    shared = [entry["instrument"]] if isinstance(entry["instrument"], str) else entry["instrument"]
    component = class_name(entry.get("component") or "")
    first, *others = ["/".join(filter(None, (class_name(name), component))) for name in shared]
    return [first, *others], str(entry["filename"])
