"""Sound files are read and written, whole or in blocks: by soundfile (libsndfile), and by PyAV where that
cannot.

Everything that is wrong with a file is an `AudioError`, which names the stage: ``read`` (not there, not
readable) or ``decode`` (empty, damaged, cut off, not sound, or with samples that are not finite).
"""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from vsep_ray import storage
from vsep_ray.audio import pyav
from vsep_ray.audio.containers import mp3, ogg, wav
from vsep_ray.audio.containers.trust import open_file
from vsep_ray.audio.formats import BITS, FORMATS, SCARCE, AudioError, AudioInfo, libsndfile_subtype
from vsep_ray.audio.resampling import Audio

BLOCK = 65_536
"""Blocks have this many samples, and no write is larger: libsndfile's Vorbis encoder overflows its stack."""
LARGEST_WAV = 2**32 - 2**16
"""A wav file holds no more bytes of samples: its header counts in 32 bits, and needs some room."""
LOWEST_RATE = 1_000
"""A header lies below this rate (Hz), and a small file would become a huge one at another rate."""
ROOM = 1 << 20
"""This many bytes must fit on a disk that is not full."""


def probe(uri: str | Path) -> AudioInfo:
    """Returns what the header of a sound file says.

    Raises:
        AudioError: stage ``read`` or ``decode``.
    """
    with open_blocks(uri) as (info, _):
        return info


def read(uri: str | Path) -> tuple[Audio, int]:
    """Returns a whole sound file: float32 samples (C, T) and the sample rate in Hz.

    Raises:
        AudioError: stage ``read`` or ``decode``.
    """
    with open_blocks(uri) as (info, blocks):
        return np.concatenate(list(blocks), axis=1), info.sample_rate


@contextlib.contextmanager
def open_blocks(
    uri: str | Path, block: int = BLOCK, stream: int = 0
) -> Iterator[tuple[AudioInfo, Iterator[Audio]]]:
    """Yields a sound file's header and its blocks (C, n), which an error ends if a sample is not finite or
    none came.

    Args:
        uri: the file.
        block: samples per block; what PyAV decodes has blocks of its own.
        stream: which one to read of a file with several streams of sound; all but the first are for PyAV.

    Raises:
        AudioError: stage ``read`` or ``decode``.
    """
    with _local_file(uri) as path:
        file, why, samples = (None, "of one stream among several", 0) if stream else open_file(path)
        opened = pyav.open_blocks(path, why, stream) if file is None else _opened(file, block)
        with opened as (info, blocks):
            if info.sample_rate < LOWEST_RATE:
                raise AudioError("decode", f"damaged: a sample rate of {info.sample_rate} Hz")
            yield info, _checked(mp3.whole(blocks, samples))


def write(
    path: str | Path,
    audio: Audio,
    sample_rate: int,
    *,
    format: str = "wav",
    subtype: str = "auto",
    tags: Mapping[str, str] | None = None,
) -> None:
    """Writes (C, T) float samples to a local sound file; see `open_writer`."""
    with open_writer(path, sample_rate, len(audio), format=format, subtype=subtype, tags=tags) as append:
        append(audio)


@contextlib.contextmanager
def open_writer(
    path: str | Path,
    sample_rate: int,
    channels: int,
    *,
    format: str = "wav",
    subtype: str = "auto",
    tags: Mapping[str, str] | None = None,
    length: int = 0,
) -> Iterator[Callable[[Audio | NDArray[np.int32]], None]]:
    """Yields a function that appends (C, n) blocks to a local sound file. An integer format rounds and clips
    floats, and keeps the upper bits of int32. The same samples and tags give the same bytes.

    Args:
        path: the file; its ending does not matter.
        sample_rate: its rate (Hz).
        channels: the number C of its channels.
        format: a key of `FORMATS`; ``subtype``: ``auto``, ``16``, ``24`` or ``float``.
        tags: libsndfile's names (``title``, ``artist``, ``comment``, ...) and values.
        length: samples per channel that will come, if known; a wav file of 4 GiB or more becomes an RF64.

    Raises:
        AudioError: stage ``encode``, if the file cannot be written.
        OSError: there is no room for it.
    """
    name, container = libsndfile_subtype(format, subtype), FORMATS[format].container
    bits = BITS.get(name)
    if container == "WAV" and length * channels * (bits or 32) // 8 > LARGEST_WAV:
        container = "RF64"
    try:
        with _OutputFile(str(path), "w", sample_rate, channels, name, format=container) as file:
            for tag, value in (tags or {}).items():
                setattr(file, tag, value)
            yield lambda audio: _append(file, audio, bits)
    except (soundfile.LibsndfileError, AssertionError) as error:  # soundfile asserts that all was written
        with tempfile.TemporaryFile(dir=Path(path).parent) as full:
            full.write(bytes(ROOM))  # libsndfile says "System error" when the disk is full; this says so
        raise AudioError(
            "encode", f"cannot write {format} {name}, {sample_rate} Hz, {channels} channels: {error}"
        ) from error
    if name == "FLOAT":
        wav.erase_time(Path(path))
    if container == "OGG":
        ogg.erase_serial(Path(path))


class _OutputFile(soundfile.SoundFile):
    def flush(self) -> None:
        """Does nothing: soundfile would fsync before it closes, where it is `storage.publish` that knows
        when.
        """


@contextlib.contextmanager
def _local_file(uri: str | Path) -> Iterator[Path]:
    with contextlib.ExitStack() as stack:
        try:
            path = stack.enter_context(storage.read_local(str(uri)))
            if path.exists() and not path.is_file():  # opening a pipe would wait for ever
                raise AudioError(
                    "read", f"a {'directory' if path.is_dir() else 'device or pipe'}, not a file"
                )
            with path.open("rb") as file:  # missing or forbidden: in the system's words, not "System error"
                empty = not file.read(1)
        except OSError as error:
            if error.errno in SCARCE:
                raise
            raise AudioError("read", error.strerror or str(error)) from error
        if empty:
            raise AudioError("decode", "the file is empty (0 bytes)")
        yield path


@contextlib.contextmanager
def _opened(file: soundfile.SoundFile, block: int) -> Iterator[tuple[AudioInfo, Iterator[Audio]]]:
    with file:
        found = file.copy_metadata().items()
        tags = {tag: value for tag, value in found if value}  # it reads "", but refuses to write it
        yield AudioInfo(file.samplerate, file.channels, file.frames, tags), _decode(file, block)


def _decode(file: soundfile.SoundFile, block: int) -> Iterator[Audio]:
    decoded, path = 0, Path(os.fsdecode(file.name))
    is_mp3 = file.subtype.startswith("MPEG_LAYER")
    estimated = is_mp3 and not (file.format == "MP3" and mp3.states_length(path))
    while decoded < file.frames:
        try:
            samples = file.read(block, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise AudioError(
                "decode", f"damaged after {decoded} of {file.frames} samples: {error}"
            ) from error
        if not len(samples) and estimated:
            return
        if not len(samples):
            raise AudioError("decode", f"truncated: {decoded} of {file.frames} samples")
        decoded += len(samples)
        yield np.ascontiguousarray(samples.T)


def _checked(blocks: Iterator[Audio]) -> Iterator[Audio]:
    length = 0
    for block in blocks:
        if not np.isfinite(np.vdot(block, block)):  # one quick look; a finite square may overflow
            finite = np.isfinite(block).all(axis=0)
            if not finite.all():
                raise AudioError(
                    "decode", f"sample {length + int(np.argmin(finite))} is not finite (NaN or infinite)"
                )
        length += block.shape[1]
        yield block
    if length == 0:
        raise AudioError("decode", "no samples in the file")


def _append(file: soundfile.SoundFile, audio: Audio | NDArray[np.int32], bits: int | None) -> None:
    # libsndfile's own float-to-integer conversion rounds down: half a step of bias per stem would add up in
    # their sum
    exact = bits is None or audio.dtype == np.int32
    samples = audio if exact else quantise(audio, bits)  # type: ignore[arg-type]
    for start in range(0, samples.shape[1], BLOCK):
        # four times as fast as a copy of the transpose
        file.write(np.stack(list(samples[:, start : start + BLOCK]), axis=-1))


def quantise(audio: Audio, bits: int) -> NDArray[np.int32]:
    """Returns integers of ``bits`` bits in the upper bits of int32: round(x * 2^(bits-1)) * 2^(32-bits)."""
    top = 2 ** (bits - 1)
    return np.clip(np.rint(audio.astype(np.float64) * top), -top, top - 1).astype(np.int32) << (32 - bits)
