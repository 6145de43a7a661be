"""A track's audio comes as streams: every source crop by crop, in constant memory whatever its length.

A *stream* is an iterator over the (C, n) pieces of a signal, all of one length but the last, which may be
shorter.
"""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from vsep_ray.audio.formats import AudioError
from vsep_ray.audio.io import BLOCK, open_blocks, quantise
from vsep_ray.audio.resampling import Audio, fit_length, map_channels, rechunk, resample_blocks
from vsep_ray.datasets.track import PUBLISHED, CropConfig, Track

Stream = Iterator[Audio]


class BadFileError(AudioError):
    """The error is an `AudioError` that knows which file it is about."""

    def __init__(self, uri: str, error: AudioError) -> None:
        super().__init__(error.stage, error.message)
        self.uri, self.args = uri, (uri, error)  # what it is made of, so that it survives pickling


def open_stems(track: Track, crop: CropConfig) -> dict[str, Stream]:
    """Returns a track's stems, each the sum of its files, at the rate, channels and length of ``crop``; they
    may differ in length.

    A published mixture is among the stems under `PUBLISHED`.

    Raises:
        BadFileError: on the way, where a file cannot be read, decoded or used.
    """
    streams = {s.source: add([read_file(uri, crop) for uri in s.uris]) for s in track.stems}
    return streams | ({PUBLISHED: read_file(track.uri, crop)} if track.uri else {})


def read_file(uri: str, crop: CropConfig, stream: int = 0, bits: int = 0) -> Stream:
    """Yields a sound file piece by piece.

    Args:
        uri: the file.
        crop: rate, channels and length of the pieces.
        stream: which one to read of a file with several streams of sound.
        bits: to round to first, clipped at full scale; 0: all that there are.

    Raises:
        BadFileError: on the way, where it cannot be read, decoded or used.
    """
    try:
        with open_blocks(uri, stream=stream) as (info, blocks):
            if bits:
                integers = (quantise(block, bits) for block in rechunk(blocks, BLOCK))
                blocks = (np.divide(block, 2**31, dtype=np.float32) for block in integers)
            mapped = (map_channels(block, crop.channels) for block in blocks)
            pieces = rechunk(resample_blocks(mapped, info.sample_rate, crop.sample_rate), crop.length)
            first = next(pieces, None)
            if first is None:
                raise AudioError("decode", f"shorter than one sample at {crop.sample_rate} Hz")
            yield from itertools.chain([first], pieces)
    except AudioError as error:
        raise BadFileError(uri, error) from error


def add(streams: Sequence[Stream]) -> Stream:
    """Yields the sum of streams that begin together; it is as long as the longest."""
    for pieces in itertools.zip_longest(*streams):
        present = [p for p in pieces if p is not None]
        length = max(p.shape[1] for p in present)
        yield np.sum([fit_length(p, length) for p in present], axis=0, dtype=np.float32)


def delayed(track: Track, make: Callable[[], Mapping[str, Audio]], length: int) -> dict[str, Stream]:
    """Returns a track's stems, which are made together when the first piece of one is asked for.

    Args:
        track: it has the sources, and one file or description that they are made of.
        make: returns all of them, (C, T) each.
        length: samples of a piece.

    Raises:
        BadFileError: on the way, where ``make`` raises an `AudioError`.
    """

    @functools.cache
    def made() -> Mapping[str, Audio]:
        try:
            return make()
        except AudioError as error:
            raise BadFileError(track.files[0], error) from error

    def pieces(source: str) -> Stream:
        for piece in rechunk([made()[source]], length):
            yield piece.copy()  # a part of the song would keep all of it in memory

    return {stem.source: pieces(stem.source) for stem in track.stems}


def whole(streams: Mapping[str, Iterable[Audio]]) -> dict[str, Audio]:
    """Returns streams in one piece each, (C, T)."""
    return {source: np.concatenate(list(pieces), axis=1) for source, pieces in streams.items()}


def aligned(
    streams: Mapping[str, Stream], length: int, silent: Sequence[str] = ()
) -> Iterator[dict[str, Audio]]:
    """Yields the streams side by side, one (C, length) crop of each at a time, until the longest ends.

    Args:
        streams: they begin together; what is missing of a crop is silence.
        length: samples per crop.
        silent: sources to add that are silent throughout.
    """
    for pieces in itertools.zip_longest(*streams.values()):
        channels = next(p.shape[0] for p in pieces if p is not None)
        silence = np.zeros((channels, length), np.float32)
        crops = {
            s: silence if p is None else fit_length(p, length) for s, p in zip(streams, pieces, strict=True)
        }
        yield dict.fromkeys(silent, silence) | crops
