"""Containers of sound are described here, and what is wrong with a file that cannot be read or written."""

import errno
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Literal

from vsep_ray.config import UserError

AUDIO_ENDINGS = frozenset({
    ".wav", ".wave", ".w64", ".rf64", ".aif", ".aiff", ".aifc", ".au", ".caf", ".flac", ".mp3", ".mp2",
    ".ogg", ".oga", ".opus", ".m4a", ".m4b", ".mp4", ".aac", ".wma", ".webm", ".mka", ".mkv", ".mov",
})  # fmt: skip
"""Files with one of these endings (in lower case) count as sound, whatever is inside."""

Stage = Literal["read", "decode", "format", "separate", "encode", "crash", "replaced"]
"""The stage says where a file failed: it could not be reached (``read``) or understood (``decode``), the
output format cannot keep its rate and channels (``format``), the model did not run (``separate``), the stems
could not be written (``encode``), it took its process with it (``crash``), or its stems are being made anew
(``replaced``).
"""


@dataclass(frozen=True)
class Failure:
    """A failure says what is wrong with one file, as a value that travels in the place of a result.

    Attributes:
        stage: where the file failed.
        message: why, in words.
    """

    stage: Stage
    message: str


class AudioError(Exception):
    """The error says that one file cannot be used: a row of a ledger or quarantine list, no job's end.

    Attributes:
        stage, message: where the file failed, and why.
        failure: the same as a value.
    """

    def __init__(self, stage: Stage, message: str) -> None:
        super().__init__(stage, message)  # both, so that the error survives pickling
        self.stage, self.message, self.failure = stage, message, Failure(stage, message)

    def __str__(self) -> str:
        return f"{self.stage}: {self.message}"


SCARCE = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""No file is to blame for errors of these numbers: disk space, open files or memory ran out."""


@dataclass(frozen=True)
class AudioInfo:
    """The header tells what a sound file holds.

    Attributes:
        sample_rate: the rate (Hz).
        channels: the number of audio channels.
        length: samples per channel; an estimate for files that PyAV decodes.
        tags: title, artist and the like, by libsndfile's names.
    """

    sample_rate: int
    channels: int
    length: int
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Format:
    """Stems are written in a container of this format.

    Attributes:
        container: libsndfile's name of it.
        subtypes: libsndfile's sample formats by the names that the user gives them, the default first.
        sample_rates: the rates (Hz) that it can hold; empty: any up to ``max_rate``.
        max_rate: the highest rate (Hz).
        max_channels: the most audio channels.
    """

    container: str
    subtypes: tuple[tuple[str, str], ...]
    sample_rates: tuple[int, ...] = ()
    max_rate: int = 768_000
    max_channels: int = 255


_PCM = (("24", "PCM_24"), ("16", "PCM_16"))
FORMATS = MappingProxyType(
    {
        "wav": Format("WAV", (("float", "FLOAT"), *_PCM), max_channels=1024),
        "flac": Format("FLAC", _PCM, max_rate=655_350, max_channels=8),
        "ogg": Format("OGG", (("auto", "VORBIS"),), max_rate=200_000),
        "opus": Format("OGG", (("auto", "OPUS"),), sample_rates=(8_000, 12_000, 16_000, 24_000, 48_000)),
        "mp3": Format(
            "MP3",
            (("auto", "MPEG_LAYER_III"),),
            sample_rates=(8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000),
            max_channels=2,
        ),
    }
)
"""The formats of stems by file ending."""
BITS = MappingProxyType({"PCM_16": 16, "PCM_24": 24})
"""Bits of the integer sample formats, by libsndfile's names."""


def is_sound(name: str) -> bool:
    """Returns whether a file has an ending of sound and is not hidden. A zip made on a Mac has files of its
    own beside the user's, which are hidden as well.

    Example:
        >>> is_sound("live/A.WAV"), is_sound("live/._a.wav"), is_sound("__MACOSX/a.wav"), is_sound("a.jpg")
        (True, False, False, False)
    """
    return PurePosixPath(name).suffix.lower() in AUDIO_ENDINGS and not is_hidden(name)


def is_hidden(name: str) -> bool:
    """Returns whether a file, or a folder on its path, is not meant to be seen."""
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def libsndfile_subtype(format: str, subtype: str = "auto") -> str:
    """Returns libsndfile's name of a sample format; ``auto`` is float for wav and 24 bits for flac.

    Example:
        >>> libsndfile_subtype("flac")
        'PCM_24'

    Raises:
        UserError: an unknown format, or a subtype that it does not have.
    """
    if format not in FORMATS:
        raise UserError(f"format {format!r} is unknown; there are {', '.join(FORMATS)}")
    subtypes = FORMATS[format].subtypes
    names = {"auto": subtypes[0][1], **dict(subtypes)}
    if subtype not in names:
        raise UserError(f"{format} has no subtype {subtype!r}; it has {', '.join(names)}")
    return names[subtype]


def check_format(sample_rate: int, channels: int, format: str) -> Failure | None:
    """Returns a failure of stage ``format`` if a format cannot hold a sample rate (Hz) and a number of
    channels. The failure names the formats that can.
    """
    if holds(format, sample_rate, channels):
        return None
    others = ", ".join(name for name in FORMATS if holds(name, sample_rate, channels))
    return Failure("format", f"{format} cannot hold {sample_rate} Hz with {channels} channels; {others} can")


def holds(format: str, sample_rate: int, channels: int) -> bool:
    """Returns whether a format can hold a sample rate (Hz) and a number of channels.

    Example:
        >>> holds("opus", 44_100, 2), holds("opus", 48_000, 2)
        (False, True)
    """
    found = FORMATS[format]
    rate_fits = sample_rate in found.sample_rates if found.sample_rates else sample_rate <= found.max_rate
    return rate_fits and channels <= found.max_channels
