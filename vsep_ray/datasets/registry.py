"""All kinds of data sets are listed here, and sources are chosen among their tracks."""

import dataclasses
from collections.abc import Sequence

from vsep_ray.config import UserError
from vsep_ray.datasets.folders import SourcesConfig, StemsConfig
from vsep_ray.datasets.manifest import ManifestConfig
from vsep_ray.datasets.musdb import MUSDB18Config, MUSDB18HQConfig
from vsep_ray.datasets.slakh import SlakhConfig
from vsep_ray.datasets.toy import ToyConfig
from vsep_ray.datasets.track import Track

# The union of all data sets: a new one is one file and one name here.
DatasetConfig = (
    ToyConfig | StemsConfig | SourcesConfig | ManifestConfig
    | MUSDB18Config | MUSDB18HQConfig | SlakhConfig
)  # fmt: skip


def select(tracks: Sequence[Track], sources: Sequence[str]) -> list[Track]:
    """Returns the tracks with their stems of the given sources only, without those that have none.

    Raises:
        UserError: no track has one of the sources, or a source is named twice.
    """
    found = sources_of(tracks)
    if not found:
        raise UserError("the data set has no stems; look at --root, --dataset and --map")
    if len(set(sources)) < len(sources):
        raise UserError(f"--sources {' '.join(sources)} names a source twice")
    unknown = [s for s in sources if s not in found]
    if unknown:
        raise UserError(f"no {', '.join(unknown)} in this data set; it has {', '.join(found)} (see --map)")
    kept = (dataclasses.replace(t, stems=tuple(s for s in t.stems if s.source in sources)) for t in tracks)
    return [track for track in kept if track.stems]


def sources_of(tracks: Sequence[Track]) -> tuple[str, ...]:
    """Returns the classes of a data set, sorted."""
    return tuple(sorted({s.source for t in tracks for s in t.stems}))
