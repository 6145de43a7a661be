"""A few crops of a finished store are chosen to look at: the same for the same store, however large it is."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vsep_ray import storage
from vsep_ray.crops.encoding import SILENCE_DB, level_db
from vsep_ray.crops.reading import by_songs, decode_table, read_aligned, read_part
from vsep_ray.crops.store import CropStore
from vsep_ray.survey.findings import FULL_SCALE
from vsep_ray.survey.sources import LONGEST_SECONDS, Song, excerpt

SONGS, CROPS, SECONDS = 200, 400, 300.0
"""Songs, crops and seconds of audio of one source that are looked at, at most."""
ALIGNED_SONGS, ALIGNED_SECONDS = 40, 20.0
"""Songs whose stems are compared, and seconds of each, at most."""
COLUMNS = ("track", "offset", "silent", "peak", "activity")


def list_crops(store: CropStore, source: str) -> pa.Table:
    """Returns all crops of a source without their audio: split, member, part file, row group and place in it,
    track, offset, silent, peak, activity. Those of a joined store are as long as in its members; their tracks
    are the songs, and what is left out of the training is not there.
    """
    parts = [part for part in store.parts() if part["source"] == source]
    return pa.concat_tables([_list_part(store, source, part["split"], part["name"]) for part in parts])


def sample(store: CropStore, source: str, listing: pa.Table) -> Iterator[Song]:
    """Yields songs in random order with random audible crops of each, few of many songs or more of fewer.

    Args:
        store: the store.
        source: the class.
        listing: all its crops, by `list_crops`.
    """
    audible = listing.filter(pc.invert(listing["silent"])).combine_chunks()
    if not len(audible):
        return
    seconds = min(LONGEST_SECONDS, store.length / store.sample_rate)
    most = max(1, min(CROPS, int(SECONDS / seconds)))
    songs = _by_song(audible)
    dice = np.random.default_rng(0)
    chosen = dice.permutation(len(songs))[: min(SONGS, most)]
    groups, crops = max(1, SONGS // len(chosen)), max(1, most // len(chosen))
    peaks = audible["peak"].to_numpy()
    for song in chosen:
        rows = _some(audible, songs[song], groups, crops, dice)
        highest = songs[song][np.argmax(peaks[songs[song]])]
        loudest = [highest] if peaks[highest] >= FULL_SCALE else []
        yield _read_song(store, source, audible, rows, loudest)


def sample_aligned(store: CropStore, listing: pa.Table) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Yields songs of a paired store in random order, each with crops of all its sources, (N, C, T), that
    belong together and follow each other.

    Args:
        store: the store.
        listing: all crops of any of its sources: part files and row groups are alike.
    """
    songs = _by_song(listing.combine_chunks())
    most = max(1, int(ALIGNED_SECONDS * store.sample_rate / store.length))
    for song in np.random.default_rng(0).permutation(len(songs))[:ALIGNED_SONGS]:
        # the middle of a song, where most sources play
        place = listing.slice(songs[song][len(songs[song]) // 2], 1).to_pylist()[0]
        tracks, _, audio = read_aligned(store, place["split"], place["name"], place["group"])
        mine = [i for i, track in enumerate(tracks) if track == place["track"]][:most]
        crops = excerpt(audio[mine], store.sample_rate).swapaxes(0, 1)
        yield place["track"], dict(zip(store.sources, crops, strict=True))


def _list_part(store: CropStore, source: str, split: str, name: str) -> pa.Table:
    filesystem, path = storage.open_filesystem(store.part_file(split, source, name))
    with pq.ParquetFile(path, filesystem=filesystem) as file:
        table = file.read(columns=list(COLUMNS))
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    member = store.owner(name)
    place = {"split": np.repeat(split, len(table)), "name": np.repeat(name, len(table))}
    place |= {"member": np.repeat(member.name, len(table))}
    place |= {"group": np.repeat(np.arange(len(sizes)), sizes)}
    place |= {"row": np.concatenate([np.arange(size) for size in sizes])}
    for column, values in place.items():
        table = table.append_column(column, pa.array(values))
    return by_songs(table, store, member)


def _by_song(listing: pa.Table) -> list[np.ndarray]:
    """Returns the rows of each song, songs sorted by their ids."""
    names = pc.rank(listing["track"], tiebreaker="dense").to_numpy()
    order = np.argsort(names, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(names[order])) + 1)


def _some(
    listing: pa.Table, rows: np.ndarray, groups: int, crops: int, dice: np.random.Generator
) -> np.ndarray:
    """Returns some rows of a song, from a few of its row groups: each is a request, and read whole."""
    places = listing.select(["name", "group"]).take(pa.array(rows)).to_pylist()
    keys = [(place["name"], place["group"]) for place in places]
    found = sorted(set(keys))
    chosen = {found[i] for i in dice.permutation(len(found))[:groups]}
    near = rows[[key in chosen for key in keys]]
    return dice.permutation(near)[:crops]


def _read_song(
    store: CropStore, source: str, listing: pa.Table, rows: np.ndarray, loudest: list[int]
) -> Song:
    first = listing.slice(int(rows[0]), 1).to_pylist()[0]
    offsets, crops = _read(store, source, listing, rows)
    highest = _read(store, source, listing, loudest)[1] if loudest else crops[:0]
    return Song(first["track"], first["split"], offsets, excerpt(crops, store.sample_rate), highest)


def _read(
    store: CropStore, source: str, listing: pa.Table, rows: np.ndarray | list[int]
) -> tuple[tuple[int, ...], np.ndarray]:
    """Returns offsets and audio (N, C, T) of audible rows of a listing, each row group read once. Of crops
    that are longer than the store's the first audible piece is taken.
    """
    groups: dict[tuple[str, str, int], list[int]] = {}
    for place in listing.take(pa.array(rows)).to_pylist():
        groups.setdefault((place["split"], place["name"], place["group"]), []).append(place["row"])
    offsets, crops = [], []
    for (split, name, group), places in groups.items():
        pieces = read_part(store, split, source, name, group, places)
        audio = decode_table(pieces, store.channels)
        each = len(audio) // len(places)
        audible = (level_db(audio) >= SILENCE_DB).reshape(-1, each)
        chosen = np.arange(len(places)) * each + audible.argmax(1)
        offsets += pieces["offset"].take(pa.array(chosen)).to_pylist()
        crops.append(audio[chosen])
    return tuple(offsets), np.concatenate(crops)
