"""A separator is scored on held-out crops or whole tracks, with the mixture made from the stems."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vsep_ray.audio.io import BLOCK
from vsep_ray.audio.resampling import Audio, fit_length
from vsep_ray.cluster.inputs import are_toys
from vsep_ray.config import UserError
from vsep_ray.crops import reading
from vsep_ray.crops.store import CropStore, latest_store
from vsep_ray.datasets import registry
from vsep_ray.datasets.classes import LEFT_OUT
from vsep_ray.datasets.dataset import Dataset
from vsep_ray.datasets.streams import whole
from vsep_ray.datasets.track import MIXTURE, PUBLISHED, CropConfig, Track
from vsep_ray.presets import CropsConfig, EvaluateConfig
from vsep_ray.separators import Separator
from vsep_ray.streaming import FOUR, SIX, Selection
from vsep_ray.streaming.selection import FOLDED

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Example:
    """An example is one mixture and what it was made of.

    Attributes:
        track: the track's id, with the offset in samples for a crop.
        references: (K, C, T) in the separator's order of sources; a source that the track lacks is all zeros.
        mixture: (C, T).
        published: whether the mixture is the record's own, not the sum of the stems.
    """

    track: str
    references: Tensor
    mixture: Tensor
    published: bool = False


@dataclass(frozen=True)
class CropPart:
    """A part file of a split of a crop store gives ``count`` crops, evenly spread."""

    store: CropStore
    split: str
    name: str
    count: int

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources that have references."""
        return self.store.sources


@dataclass(frozen=True)
class WholeTrack:
    """A track of a data set is read in full."""

    dataset: Dataset
    track: Track

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources that have references."""
        return tuple(stem.source for stem in self.track.stems)


Portion = CropPart | WholeTrack


def portions(config: EvaluateConfig, separator: Separator) -> list[Portion]:
    """Returns what to score, in pieces that one task reads.

    Raises:
        UserError: there is no such data, it has no common mixtures, or it is not at the separator's rate.
    """
    dataset = config.dataset
    if isinstance(dataset, CropsConfig):
        return list(_crop_parts(_store(dataset, config.storage, separator), config.max_tracks))
    found = dataset.find()
    if not dataset.needs_files or not dataset.paired(found):
        raise UserError(f"--dataset {dataset.name} has no whole tracks with stems; use --dataset crops")
    tracks = [t for t in found if t.split == "test"] if any(t.split for t in found) else found
    if not tracks:
        raise UserError(f"no track of split test in --dataset {dataset.name}; its tracks are for training")
    names, known = registry.sources_of(tracks), separator.sources
    if not set(names) & set(known):
        raise UserError(f"no stem is one of {', '.join(known)}; found {', '.join(names)}; name them by --map")
    _check_map(getattr(dataset, "map", ()), known)
    if strangers := [s for s in names if s not in known]:
        log.warning("in the mixture but not scored (see --map): %s; the model has %s", strangers, known)
    return [WholeTrack(dataset, t) for t in tracks[: config.max_tracks]]


def _check_map(pairs: Sequence[str], known: Sequence[str]) -> None:
    """Refuses a pair of ``--map`` whose source the model does not have: nothing of it would be scored."""
    for source in (pair.partition("=")[0] for pair in pairs):
        if source not in (*known, MIXTURE, LEFT_OUT):
            raise UserError(f"--map {source}=... names no source of the model, which has {', '.join(known)}")


def asks_for_toys(config: EvaluateConfig) -> bool:
    """Returns whether crops of toy waves are scored, for which a separator of toy waves is the right one."""
    crops = config.dataset
    return isinstance(crops, CropsConfig) and are_toys(_opened(crops, config.storage).dataset)


def scored(config: EvaluateConfig, portions: Sequence[Portion], separator: Separator) -> Selection:
    """Returns which stems are scored: those that are asked for, or that the references tell apart."""
    told = {name for portion in portions for name in portion.sources}
    auto = SIX if told & set(FOLDED) else FOUR
    return Selection.of(separator.sources, (auto if config.sources == "auto" else config.sources,))


def fold(sources: Tensor, selection: Selection, scales: Tensor) -> tuple[Tensor, Tensor]:
    """Returns stems sum_k a_k s_k / a_j over the sources k in each, and the a_j with which they are mixed.

    Shape: (..., K, C, T), (K,) -> (..., J, C, T), (J,).
    """
    if not selection.folded:
        return sources, scales
    matrix = torch.from_numpy(selection.matrix).to(sources)
    own = scales[[selection.sources.index(name) for name in selection.stems]]
    return torch.einsum("jk,...kct->...jct", matrix * scales / own[:, None], sources), own


def read(portion: Portion, separator: Separator) -> list[Example]:
    """Returns the examples of a portion, at the separator's sample rate and channels.

    Raises:
        BadFileError: a file of the track cannot be used.
    """
    if isinstance(portion, CropPart):
        return _read_crops(portion, separator)
    crop = CropConfig(separator.sample_rate, separator.channels, BLOCK)
    audio = whole(portion.dataset.open(portion.track, crop))
    length = max(a.shape[-1] for a in audio.values())
    audio = {name: fit_length(a, length) for name, a in audio.items()}
    published = audio.pop(PUBLISHED, None)
    # the model's a_k for the sources that it knows, 1 for those that only the mixture has
    known = dict(zip(separator.sources, separator.mixing.scales.tolist(), strict=True))
    weights = {name: known.get(name, 1.0) for name in audio}
    example = _example(portion.track.id, audio, weights, separator)
    if published is None:
        return [example]
    return [example, dataclasses.replace(example, mixture=torch.from_numpy(published), published=True)]


def _opened(dataset: CropsConfig, root: str) -> CropStore:
    if not (uri := dataset.root or latest_store(root)):
        raise UserError(f"no crop store in {root}; make one with jobs/prepare_crops.py, or pass --root")
    return CropStore.open(uri)


def _store(dataset: CropsConfig, root: str, separator: Separator) -> CropStore:
    store = _opened(dataset, root)
    if not store.paired:
        raise UserError(
            f"{store.uri} holds a folder per source, without common mixtures; "
            "score --dataset stems --root ..."
        )
    have, need = (store.sample_rate, store.channels), (separator.sample_rate, separator.channels)
    if have != need:
        raise UserError(
            f"the crops in {store.uri} are (Hz, channels) {have}, the model is for {need}; "
            "pass others by --root"
        )
    return store


def _crop_parts(store: CropStore, limit: int) -> list[CropPart]:
    split = next((s for s in ("test", "valid") if s in store.splits), None)
    if split is None:
        raise UserError(f"{store.uri} has neither split test nor valid; make it with --test-fraction above 0")
    names = list(dict.fromkeys(name for name, _ in store.row_groups(split, store.sources[0])))[:limit]
    shares = [limit // len(names) + (i < limit % len(names)) for i in range(len(names))]
    return [CropPart(store, split, name, count) for name, count in zip(names, shares, strict=True)]


def _read_crops(portion: CropPart, separator: Separator) -> list[Example]:
    store = portion.store
    track, offset, audio = reading.read_aligned(store, portion.split, portion.name)
    chosen = np.linspace(0, len(track) - 1, min(portion.count, len(track))).round().astype(int)
    weights = dict(zip(store.sources, store.scales, strict=True))
    named = [(f"{track[n]}@{offset[n]}", dict(zip(store.sources, audio[n], strict=True))) for n in chosen]
    return [_example(name, stems, weights, separator) for name, stems in named]


def _example(
    track: str, audio: Mapping[str, Audio], weights: Mapping[str, float], separator: Separator
) -> Example:
    silence = np.zeros_like(next(iter(audio.values())))
    references = np.stack([audio.get(s, silence) for s in separator.sources])
    mixture = np.sum([weights[name] * a for name, a in audio.items()], axis=0, dtype=np.float32)
    return Example(track, torch.from_numpy(references), torch.from_numpy(mixture))
