"""Whether a file ends before its sound does, which libsndfile notes in its log and passes over otherwise; of
CAF it does not see it."""

import re
import struct
from pathlib import Path

_SIZE = re.compile(r"^\s*(?:data|SSND|riff|Riff size|Data Size)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
_UNKNOWN = (range(0x7FFF0000, 0x80000001), range(0xFFFF0000, 0x100000000))
"""Sizes that programs write into the header of a stream whose length they do not know."""


def truncation(log: str) -> str | None:
    """What is missing, in words, by libsndfile's log of opening a file (``SoundFile.extra_info``).

    Example:
        >>> truncation("data : 529200 (should be 264578)")
        'truncated: 264578 of 529200 bytes of sound'
        >>> truncation("data : 4294967295 (should be 264578)") is None  # length unknown: a stream
        True
    """
    for stated, there in ((int(a), int(b)) for a, b in _SIZE.findall(log)):
        if stated > there and not any(stated in sizes for sizes in _UNKNOWN):
            return f"truncated: {there} of {stated} bytes of sound"
    return None


def caf_truncation(path: Path) -> str | None:
    """What is missing of a CAF file's sound, in words.

    Reference: Apple Core Audio Format Specification 1.0: chunks of a name, a length of 8 bytes (-1: to the
    end of the file) and so many bytes.
    """
    size, at = path.stat().st_size, 8
    with path.open("rb") as file:
        while at + 12 <= size:
            file.seek(at)
            name, length = struct.unpack(">4sq", file.read(12))
            at += 12 + max(0, length)
            if name == b"data" or length < 0:
                break
    return f"truncated: {size} of {at} bytes" if at > size else None
