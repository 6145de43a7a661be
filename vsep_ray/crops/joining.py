"""Several crop stores are joined to one, which holds no audio and names the part files of its members."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq

from vsep_ray import storage
from vsep_ray.config import UserError, fingerprint
from vsep_ray.crops.listening import Heard, median_lufs
from vsep_ray.crops.songs import (
    Known,
    held_out_elsewhere,
    refuse,
    same_by_name,
    same_by_sound,
    songs_of,
    tracks_of,
)
from vsep_ray.crops.statistics import Contribution, SourceCount, SplitStatistics, add_up, source_statistics
from vsep_ray.crops.store import JOINED_FORMAT, SONGS_FILE, CropStore, Member, write_index
from vsep_ray.crops.writing import begin

Key = tuple[str, str]


def layout(
    stores: Sequence[CropStore], weights: Sequence[float], drop: bool, folder: str, revision: str = ""
) -> CropStore:
    """Returns what the joined store of some stores is to be; their order does not matter.

    Its sources are those of all members, in their common order, else sorted. It is paired where all members
    are, with the same sources.

    Args:
        stores: the members.
        weights: of each; none, or all above 0.
        drop: whether songs that another member holds out are left out of split train.
        folder: it is to lie in this one.
        revision: git revision of the code.

    Raises:
        UserError: the stores do not fit together, or the weights not to them.
    """
    _check(stores, weights)
    members = _members(stores, weights or [0.0] * len(stores))
    sources = _sources(stores)
    scales = {s: a for store in stores for s, a in zip(store.sources, store.scales, strict=True)}
    # the places too: a joined store whose members were moved is made once more, with the same content
    mark = fingerprint([JOINED_FORMAT, drop, [[m.uri, m.content, m.weight] for m in members]])
    return CropStore(
        storage.join(folder, f"joined-{mark}"), "+".join(m.name for m in members),
        stores[0].sample_rate, stores[0].channels, min(store.length for store in stores),
        sources, tuple(scales[s] for s in sources),
        paired=all(store.paired and set(store.sources) == set(sources) for store in stores),
        fingerprint=mark, quarantined=sum(store.quarantined for store in stores), revision=revision,
        format=JOINED_FORMAT, members=members,
    )  # fmt: skip


def _members(stores: Sequence[CropStore], weights: Sequence[float]) -> tuple[Member, ...]:
    """Returns the members, named by their data sets, and numbered from the second of one kind on."""
    pairs = sorted(zip(stores, weights, strict=True), key=lambda pair: (pair[0].dataset, pair[0].mark))
    kinds = [store.dataset for store, _ in pairs]
    names = [f"{kind}-{n}" if (n := kinds[: i + 1].count(kind)) > 1 else kind for i, kind in enumerate(kinds)]
    return tuple(
        Member(name, s.uri, s.mark, s.length, s.encoding, weight)
        for name, (s, weight) in zip(names, pairs, strict=True)
    )


def _sources(stores: Sequence[CropStore]) -> tuple[str, ...]:
    if all(store.sources == stores[0].sources for store in stores):
        return stores[0].sources
    return tuple(sorted({s for store in stores for s in store.sources}))


def _check(stores: Sequence[CropStore], weights: Sequence[float]) -> None:
    if weights and (len(weights) != len(stores) or min(weights) <= 0):
        raise UserError(
            f"--crop-weights needs a number above 0 for each of the {len(stores)} stores of --crops, "
            f"got {' '.join(f'{w:g}' for w in weights)}"
        )
    if again := [s.uri for i, s in enumerate(stores) if s.mark in [t.mark for t in stores[:i]]]:
        raise UserError(f"--crops names the crops of {again[0]} twice; name every store once")
    if joined := [store for store in stores if store.members]:
        parts = " ".join(m.uri for m in joined[0].members)
        raise UserError(f"{joined[0].uri} is itself joined; name its members in its place: --crops {parts}")
    _check_formats(stores)
    _check_scales(stores)


def _check_formats(stores: Sequence[CropStore]) -> None:
    first = stores[0]
    for other in stores[1:]:
        if (other.sample_rate, other.channels) != (first.sample_rate, first.channels):
            raise UserError(
                f"{other.uri} has {other.sample_rate} Hz and {other.channels} channels, {first.uri} "
                f"{first.sample_rate} and {first.channels}; prepare it once more with jobs/prepare_crops.py "
                f"--crop.sample-rate {first.sample_rate} --crop.channels {first.channels}"
            )


def _check_scales(stores: Sequence[CropStore]) -> None:
    scales: dict[str, tuple[float, str]] = {}
    for store in stores:
        for source, scale in zip(store.sources, store.scales, strict=True):
            known, uri = scales.setdefault(source, (scale, store.uri))
            if known != scale:
                raise UserError(
                    f"{source} is {scale:g} of the mixture in {store.uri} and {known:g} in {uri}; "
                    "join stores that are mixed alike"
                )


def strangers(stores: Sequence[CropStore]) -> list[str]:
    """Returns a sentence for each store that shares no source with any other: perhaps a name to map."""
    words = []
    for store in stores:
        others = {s for other in stores if other is not store for s in other.sources}
        if not others & set(store.sources):
            words.append(
                f"{store.uri} has {', '.join(store.sources)}, the other stores have "
                f"{', '.join(sorted(others))}: if these are the same under other names, prepare it once more "
                "with --map"
            )
    return words


def finish(joined: CropStore, stores: Sequence[CropStore], heard: Sequence[Heard], drop: bool) -> CropStore:
    """Writes the songs, the list of part files and, last of all, ``_store.json``.

    Args:
        joined: its `layout`.
        stores: the members.
        heard: all of their part files.
        drop: whether songs that another member holds out are left out of split train.

    Raises:
        UserError: a song is trained on that is held out, or a source has nothing left to train on.
    """
    tracks, kept, songs = _known(joined, heard, drop)
    _check_audible(joined, kept)
    rows = [{**vars(t), "song": songs.get((t.member, t.track))} for t in tracks]
    done = replace(
        joined,
        splits=_splits(joined, kept, songs),
        statistics=source_statistics(_counts(joined, kept)),
        contributions=_contributions(joined, kept),
        content=fingerprint([[[m.content, m.weight] for m in joined.members], rows]),
    )
    begin(done, fresh=False)
    _write_songs(done, rows)
    write_index(done.uri, _parts(done, stores, kept))
    done.save()
    return done


def _known(
    joined: CropStore, heard: Sequence[Heard], drop: bool
) -> tuple[list[Known], list[Heard], dict[Key, str]]:
    """Returns all tracks, what is heard of those that are kept, and the songs of these."""
    tracks = tracks_of(heard)
    tolerance = {m.name: m.length / joined.sample_rate for m in joined.members}
    pairs = same_by_name(tracks, tolerance) + same_by_sound(heard)
    songs = songs_of(tracks, pairs)
    leaks = held_out_elsewhere(tracks, songs)
    if not drop:
        refuse(leaks, pairs)
    kept = [h for h in heard if h.key not in leaks]
    return tracks, kept, {key: song for key, song in songs.items() if key not in leaks}


def _counts(joined: CropStore, heard: Iterable[Heard]) -> list[SourceCount]:
    """Returns the counts in crops of the joined store's length."""
    pieces = {m.name: -(-m.length // joined.length) for m in joined.members}
    return [_times(h.count, pieces[h.member]) for h in heard]


def _times(count: SourceCount, factor: int) -> SourceCount:
    return add_up([count] * factor)


def _contributions(joined: CropStore, heard: Sequence[Heard]) -> tuple[Contribution, ...]:
    groups: dict[tuple[str, str, str], list[Heard]] = {}
    for h in heard:
        groups.setdefault((h.member, h.split, h.count.source), []).append(h)
    lengths = {m.name: m.length for m in joined.members}
    return tuple(
        Contribution(*place, s.crops, minutes, round(s.silence, 4), median_lufs(mine))
        for place, mine in sorted(groups.items())
        for s in source_statistics(h.count for h in mine).values()
        for minutes in (round(s.crops * lengths[place[0]] / joined.sample_rate / 60, 2),)
    )


def _splits(
    joined: CropStore, heard: Sequence[Heard], songs: Mapping[Key, str]
) -> dict[str, SplitStatistics]:
    found = {}
    for split in sorted({h.split for h in heard}):
        mine = [h for h in heard if h.split == split]
        counted = _counts(joined, (h for h in mine if h.count.source in joined.sources))
        crops = sum(c.crops for c in counted)
        seconds = crops * joined.length / joined.sample_rate
        found[split] = SplitStatistics(len({songs[h.key] for h in mine}), crops, seconds)
    return found


def _check_audible(joined: CropStore, heard: Collection[Heard]) -> None:
    for source in joined.sources:
        mine = [h.count for h in heard if h.split == "train" and h.count.source == source]
        if not sum(c.crops - c.silent for c in mine):
            raise UserError(
                f"source {source!r} has no audible crop to train on in {joined.dataset}, once the songs that "
                "are held out are dropped; join other stores"
            )


def _write_songs(joined: CropStore, rows: list[dict[str, object]]) -> None:
    schema = pa.schema([
        ("member", pa.string()), ("track", pa.string()), ("split", pa.string()),
        ("seconds", pa.float64()), ("song", pa.string()),
    ])  # fmt: skip
    with storage.write_local(storage.join(joined.uri, SONGS_FILE)) as path:
        pq.write_table(pa.Table.from_pylist(rows, schema), path)


def _parts(
    joined: CropStore, stores: Sequence[CropStore], heard: Iterable[Heard]
) -> list[tuple[str, str, str, int]]:
    """Returns split, source, name and row groups of the part files that hold something of what is kept; those
    of the members take turns, so that the first of them are of all.
    """
    by_uri = {store.uri: store for store in stores}
    kept = {(h.member, h.split, h.count.source, h.part) for h in heard}
    found = [
        (p["split"], p["source"], f"{m.name}/{p['name']}", p["groups"])
        for m in joined.members
        for p in by_uri[m.uri].parts()
        if (m.name, p["split"], p["source"], p["name"]) in kept
    ]
    return sorted(found, key=lambda part: part[2].rpartition("/")[2])
