"""Decoding by PyAV (FFmpeg): m4a, wma, sound tracks of video and whatever else libsndfile cannot open."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vsep_ray.audio.dsp import Audio
from vsep_ray.audio.formats import AudioError

Found = tuple[int, int, int, str, str, dict[str, str]]
"""Sample rate (Hz), channels, estimated length (samples), container, codec, tags: the fields of
`io.AudioInfo`."""
TAGS = {
    **{n: n for n in ("title", "artist", "album", "date", "genre", "comment", "copyright")},
    "track": "tracknumber",
}
"""FFmpeg's names of tags -> libsndfile's."""


def probe(path: Path, why: str) -> Found:
    """The header of a file that libsndfile refused for ``why``.

    Raises:
        AudioError: stage ``decode``.
    """
    with _opened(path, why) as container:
        return _describe(container)


@contextlib.contextmanager
def open_blocks(path: Path, why: str) -> Iterator[tuple[Found, Iterator[Audio]]]:
    """The header and the decoded float32 blocks (C, n) of a file that libsndfile refused for ``why``.

    Raises:
        AudioError: stage ``decode``.
    """
    with _opened(path, why) as container:
        yield _describe(container), _decode(container)


@contextlib.contextmanager
def _opened(path: Path, why: str) -> Iterator[Any]:
    try:
        import av
    except ImportError as error:
        cure = "m4a, wma and video need PyAV: pip install 'vsep_ray[decode]'"
        raise AudioError("decode", f"libsndfile cannot open it ({why}); {cure}") from error
    try:
        container = av.open(str(path), metadata_errors="replace")
    except av.FFmpegError as error:
        raise AudioError(
            "decode", f"not a sound file that libsndfile or FFmpeg knows ({why}; {error.strerror})"
        ) from error
    with container:
        if not container.streams.audio:
            raise AudioError("decode", f"FFmpeg finds no sound in this {container.format.name} file")
        yield container


def _describe(container: Any) -> Found:
    stream = container.streams.audio[0]
    seconds = (
        float(stream.duration * stream.time_base) if stream.duration else (container.duration or 0) / 1e6
    )
    return (
        stream.rate,
        stream.channels,
        round(seconds * stream.rate),
        container.format.name,
        stream.codec_context.name,
        {TAGS[k.lower()]: v for k, v in container.metadata.items() if k.lower() in TAGS},
    )


def _decode(container: Any) -> Iterator[Audio]:
    import av

    stream = container.streams.audio[0]
    to_float = av.AudioResampler(format="fltp", layout=stream.layout, rate=stream.rate)
    try:
        for frame in container.decode(stream):
            yield from (f.to_ndarray().astype(np.float32, copy=False) for f in to_float.resample(frame))
        yield from (f.to_ndarray().astype(np.float32, copy=False) for f in to_float.resample(None))
    except av.FFmpegError as error:
        raise AudioError("decode", f"damaged: {error.strerror}") from error
    except ValueError as error:  # rate or channels change on the way
        raise AudioError("decode", f"damaged: {error}") from error
