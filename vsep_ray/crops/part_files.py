"""The part files of a crop store hold the tracks of a unit, cut and written as they stream by."""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vsep_ray import storage
from vsep_ray.audio.resampling import Audio
from vsep_ray.crops.encoding import SILENCE_DB, activity, encode, level_db, pack
from vsep_ray.crops.statistics import SourceCount, add_up, count_crops
from vsep_ray.crops.store import COMPRESSION, SCHEMA
from vsep_ray.datasets.streams import Stream, aligned
from vsep_ray.datasets.track import MIXTURE, PUBLISHED, CropConfig, Track

ROW_GROUP_BYTES = 4 << 20
"""Audio bytes of one Parquet row group, which writers hold in memory and readers fetch at once. Training
shuffles row groups: smaller ones mix the songs better, larger ones are fewer requests to a bucket."""

Open = Callable[[Track], Mapping[str, Stream]]
"""A track's audio by source, at the store's rate, channels and crop length."""


@dataclass
class Part:
    """One source of one unit is written row group by row group.

    Attributes:
        file: the Parquet file.
        count: what has been written.
        crop: format of the crops.
        pending: song id, offset (samples) and (C, T) of crops that wait for their row group.
        digest: of the rows so far, whatever the encoding.
    """

    file: pq.ParquetWriter
    count: SourceCount
    crop: CropConfig
    pending: list[tuple[str, int, Audio]] = field(default_factory=list)
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def add(self, track: str, offset: int, crop: Audio) -> None:
        """Appends a crop (C, T)."""
        self.pending.append((track, offset, crop))
        if len(self.pending) * 2 * crop.size >= ROW_GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        """Writes a row group of all that waits."""
        if not self.pending:
            return
        tracks, offsets, crops = zip(*self.pending, strict=True)
        audio = np.stack(crops)
        pcm, gain = encode(audio)
        table = to_table(tracks, offsets, audio, pcm, gain, self.crop)
        self.file.write_table(table)
        for track, offset, factor, item in zip(tracks, offsets, gain.tolist(), pcm, strict=True):
            self.digest.update(f"{track}\0{offset}\0{factor}\0".encode())
            self.digest.update(item)  # not the FLAC file, which another libFLAC makes otherwise
        added = add_up([self.count, count_crops(self.count.source, table)])
        self.count = replace(added, digest=self.digest.hexdigest())
        self.pending.clear()


def write_parts(
    folder: Callable[[str], str],
    name: str,
    crop: CropConfig,
    crops: Iterator[tuple[str, int, dict[str, Audio]]],
) -> tuple[SourceCount, ...]:
    """Writes one part file per source, and none where ``crops`` raises.

    Args:
        folder: the partition of a source.
        name: of the files.
        crop: format of the crops.
        crops: song id, offset (samples) and a (C, T) crop of every source.
    """
    parts: dict[str, Part] = {}
    with contextlib.ExitStack() as stack:
        for track, offset, sources in crops:
            for source, samples in sources.items():
                if source not in parts:
                    uri = storage.join(folder(source), name)
                    parts[source] = stack.enter_context(_part(uri, source, crop))
                parts[source].add(track, offset, samples)
    return tuple(part.count for part in parts.values())


def cut(
    tracks: Sequence[Track],
    open_track: Open,
    sources: Sequence[str],
    scales: Sequence[float],
    paired: bool,
    length: int,
) -> Iterator[tuple[str, int, dict[str, Audio]]]:
    """Yields the crops of tracks, in their order: song id, offset (samples), (C, length) by source.

    Where the data is paired, a source that a track lacks is silent, and the mixture sum_k a_k s_k is added.
    """
    for track in tracks:
        streams = {s: a for s, a in open_track(track).items() if s in (*sources, PUBLISHED)}
        lacking = [s for s in sources if s not in streams] if paired else []
        for i, crops in enumerate(aligned(streams, length, lacking)):
            if paired:
                mixture = sum(a * crops[s] for a, s in zip(scales, sources, strict=True))
                crops[MIXTURE] = np.asarray(mixture, np.float32)
            yield track.id, i * length, crops


def to_table(
    tracks: Sequence[str],
    offsets: Sequence[int],
    crops: np.ndarray,
    pcm: np.ndarray,
    gain: np.ndarray,
    config: CropConfig,
) -> pa.Table:
    """Returns crops as rows of `SCHEMA`: song ids, offsets (samples), float32 (N, C, T), and what
    `vsep_ray.crops.encoding.encode` made of them.
    """
    rms_db = level_db(crops)
    return pa.table({
        "track": tracks,
        "offset": offsets,
        "rms_db": rms_db,
        "peak": np.maximum(pcm.max(axis=(1, 2)) / 32_768, pcm.min(axis=(1, 2)) / -32_768) * gain,
        "silent": rms_db < SILENCE_DB,
        "activity": activity(crops, config.sample_rate),
        "gain": gain,
        "audio": [pack(item, config.encoding, config.sample_rate) for item in pcm],
    }, schema=SCHEMA)  # fmt: skip


@contextlib.contextmanager
def _part(uri: str, source: str, crop: CropConfig) -> Iterator[Part]:
    compression = COMPRESSION[crop.encoding]
    with storage.write_local(uri) as path, pq.ParquetWriter(path, SCHEMA, compression=compression) as file:
        part = Part(file, SourceCount(source), crop)
        yield part
        part.flush()
