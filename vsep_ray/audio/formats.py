"""What each container of sound holds, and what is wrong with a file that cannot be read or written."""

import errno
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from vsep_ray.config import UserError

_ENDINGS = (
    "wav wave flac ogg oga opus mp3 mp2 aif aiff aifc au caf w64 rf64 m4a m4b mp4 aac wma webm mka mkv mov"
)
AUDIO_ENDINGS = frozenset("." + ending for ending in _ENDINGS.split())
"""Endings (lower case) of files that a catalog takes for sound, whatever is inside."""

Stage = Literal["read", "decode", "format", "separate", "encode", "crash", "replaced"]
"""Where a file failed: to reach it, to understand it, to keep its rate and channels in the output format, to
run the model, to write the stems; ``crash``: it took its process with it; ``replaced``: its stems are being
made anew."""


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
    """A file that cannot be used: one row of a ledger or quarantine list, never the end of a job."""

    def __init__(self, stage: Stage, message: str) -> None:
        super().__init__(stage, message)  # both, so that the error survives pickling
        self.stage, self.message = stage, message

    def __str__(self) -> str:
        return f"{self.stage}: {self.message}"

    @property
    def failure(self) -> Failure:
        """The same as a value."""
        return Failure(self.stage, self.message)


SCARCE = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""What no file is to blame for: disk, open files, memory."""


@dataclass(frozen=True)
class Format:
    """A container that stems are written in.

    Attributes:
        container: libsndfile's name.
        subtypes: sample format by the name that the user gives it; the first is the default.
        sample_rates: Hz; empty: any up to ``max_rate``.
        max_rate: Hz.
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


def libsndfile_subtype(format: str, subtype: str = "auto") -> str:
    """libsndfile's name of a sample format; ``auto`` is float for wav and 24 bits for flac.

    Example:
        >>> libsndfile_subtype("flac")
        'PCM_24'

    Raises:
        UserError: an unknown format, or a subtype that it does not have.
    """
    if format not in FORMATS:
        raise UserError(f"format {format!r} is unknown; there are {', '.join(FORMATS)}")
    subtypes = dict(FORMATS[format].subtypes)
    if subtype == "auto":
        return next(iter(subtypes.values()))
    if subtype not in subtypes:
        raise UserError(f"{format} has no subtype {subtype!r}; it has {', '.join({'auto', *subtypes})}")
    return subtypes[subtype]


def check_format(sample_rate: int, channels: int, format: str) -> Failure | None:
    """Check that a format can hold a sample rate (Hz) and a number of channels.

    Returns:
        None if it can; else a failure of stage ``format``, which names the formats that can.
    """
    if holds(format, sample_rate, channels):
        return None
    others = ", ".join(name for name in FORMATS if holds(name, sample_rate, channels))
    return Failure("format", f"{format} cannot hold {sample_rate} Hz with {channels} channels; {others} can")


def holds(format: str, sample_rate: int, channels: int) -> bool:
    """Whether a format can hold a sample rate (Hz) and a number of channels.

    Example:
        >>> holds("opus", 44_100, 2), holds("opus", 48_000, 2)
        (False, True)
    """
    found = FORMATS[format]
    rate_fits = sample_rate in found.sample_rates if found.sample_rates else sample_rate <= found.max_rate
    return rate_fits and channels <= found.max_channels
