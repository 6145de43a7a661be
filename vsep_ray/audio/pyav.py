"""PyAV (FFmpeg) decodes m4a, wma, sound tracks of video and whatever else libsndfile cannot open."""

import contextlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from vsep_ray.audio.formats import AudioError, AudioInfo
from vsep_ray.audio.resampling import Audio

TAGS = {
    **{n: n for n in ("title", "artist", "album", "date", "genre", "comment", "copyright")},
    "track": "tracknumber",
}
"""libsndfile's names of tags by FFmpeg's."""
PLAYLISTS = ("concat", "hls", "dash")
"""Formats that name other files."""
STATE_LENGTH = ("mov", "matroska", "asf", "flac")
"""Formats whose duration is no guess."""
GAP_SECONDS, SLACK_SECONDS = 0.01, 0.1
"""Times of a whole file may be off by so much between frames (less than a frame), and at its end."""


@contextlib.contextmanager
def open_blocks(path: Path, why: str, stream: int = 0) -> Iterator[tuple[AudioInfo, Iterator[Audio]]]:
    """Yields the header and the decoded float32 blocks (C, n) of one stream of sound in a file that
    libsndfile refused for ``why``.

    Raises:
        AudioError: stage ``decode``.
    """
    import av  # with FFmpeg's libraries, which most runs do not need

    try:
        container = av.open(str(path), metadata_errors="replace", options={"protocol_whitelist": "file"})
    except av.FFmpegError as error:
        raise AudioError(
            "decode",
            f"damaged, or not a sound file: libsndfile says {why!r}, FFmpeg {error.strerror!r}",
        ) from error
    with container:
        name, found = container.format.name, container.streams.audio
        if not found or name in PLAYLISTS:
            raise AudioError("decode", f"FFmpeg finds no sound in this {name} file")
        if stream >= len(found):
            words = f"the file has {len(found)} streams of sound, and number {stream + 1} was asked for"
            raise AudioError("decode", words)
        if found[stream].codec_context is None:
            raise AudioError("decode", f"FFmpeg cannot decode the sound in this {name} file")
        yield _describe(container, found[stream]), _decode(container, found[stream])


def _describe(container: Any, stream: Any) -> AudioInfo:
    seconds = (
        float(stream.duration * stream.time_base) if stream.duration else (container.duration or 0) / 1e6
    )
    tags = {TAGS[k.lower()]: v for k, v in container.metadata.items() if k.lower() in TAGS}
    return AudioInfo(stream.rate, stream.channels, round(seconds * stream.rate), tags)


def _decode(container: Any, stream: Any) -> Iterator[Audio]:
    import av

    if stream.codec_context.name == "flac":  # by default FFmpeg takes a damaged frame as it is
        stream.codec_context.options = {"err_detect": "crccheck+explode"}
    to_float = av.AudioResampler(format="fltp", layout=stream.layout, rate=stream.rate)
    try:
        for frame in chain(_complete(container, stream), [None]):
            for block in to_float.resample(frame):
                rate, channels = block.sample_rate, block.layout.nb_channels
                # a resampler that has nothing to do with the first frame does not look at the others
                if (rate, channels) != (to_float.rate, to_float.layout.nb_channels):
                    raise AudioError("decode", f"damaged: it goes on at {rate} Hz with {channels} channels")
                yield block.to_ndarray().astype(np.float32, copy=False)
    except av.FFmpegError as error:
        raise AudioError("decode", f"damaged: {error.strerror}") from error
    except ValueError as error:  # rate or channels change on the way
        raise AudioError("decode", f"damaged: {error}") from error


def _complete(container: Any, stream: Any) -> Iterator[Any]:
    """Yields the frames. Each must begin where the one before ended, and the last end where the file says."""
    end, steady = None, container.format.name != "ogg"  # in a chain of Ogg streams time begins again
    for frame in container.decode(stream):
        start = None if frame.pts is None else float(frame.pts * frame.time_base)
        if steady and start is not None and end is not None and abs(start - end) > GAP_SECONDS:
            raise AudioError("decode", f"damaged: after {end:.3f} s it goes on at {start:.3f} s")
        if start is not None or end is not None:
            end = (end if start is None else start) + frame.samples / frame.sample_rate
        yield frame
    stated = _stated_end(container, stream)
    if end is not None and stated is not None and end < stated - SLACK_SECONDS:
        raise AudioError("decode", f"truncated: {end:.3f} of {stated:.3f} s")


def _stated_end(container: Any, stream: Any) -> float | None:
    """Returns when the sound ends by the header (s), None where that is not said, as beside a picture."""
    if container.format.name.partition(",")[0] not in STATE_LENGTH:
        return None
    if stream.duration:
        return float((stream.start_time or 0) * stream.time_base + stream.duration * stream.time_base)
    alone = len(container.streams) == 1 and container.duration
    return (max(0, container.start_time or 0) + container.duration) / 1e6 if alone else None
