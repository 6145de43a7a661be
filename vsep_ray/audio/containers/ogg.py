"""Ogg files are checked for pages that are missing or damaged, and get a serial number that stays the same.

Reference: RFC 3533, section 6.
"""

import mmap
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from vsep_ray.audio.formats import AudioError

SERIAL, CHECKSUM, SEGMENTS = 14, 22, 26
"""A page's header has its serial number and checksum (4 bytes each) and its number of segments (1) here."""
FLAGS, FIRST = 5, 2
"""A page's flags have this offset, and a stream's first page has this flag."""
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def check(path: Path) -> bool:
    """Returns whether a file is a chain of streams (RFC 3533, section 4), of which libsndfile reads the
    first.

    Behind the last page anything may come, as some programs write tags there. That the last pages are missing
    cannot be known.

    Raises:
        AudioError: stage ``decode``; a page is damaged, missing or cut off.
    """
    following: dict[int, int] = {}
    chained = sound = False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for start, end in _pages(content):
            if end > len(content):
                raise AudioError("decode", "truncated: it ends within an Ogg page")
            page = content[start:end]
            serial, number, stated = struct.unpack_from("<3I", page, SERIAL)
            is_first = bool(page[FLAGS] & FIRST)
            if _checksum(page) != stated:
                raise AudioError("decode", f"damaged: the Ogg page at byte {start} has another checksum")
            if not is_first and number != following.get(serial, number):
                raise AudioError("decode", f"damaged: Ogg pages are missing before byte {start}")
            chained |= is_first and sound
            sound |= not is_first
            following[serial] = number + 1 & 0xFFFFFFFF
    return chained


def _pages(content: mmap.mmap) -> Iterator[tuple[int, int]]:
    """Yields start and end of page after page, until no other comes; the last may end behind the file."""
    start = 0
    while content[start : start + 4] == b"OggS":
        table = start + SEGMENTS + 1
        segments = int.from_bytes(content[table - 1 : table])
        end = table + segments + sum(content[table : table + segments])
        yield start, end
        start = end
    if content.find(b"OggS", start) >= 0:
        raise AudioError("decode", f"damaged: there is no Ogg page at byte {start}, and others come behind")


def _checksum(page: bytes) -> int:
    """Returns the CRC-32 of a page but for the checksum in it: zlib's with the bits of bytes and result in
    the other order, starting at 0.
    """
    blank = page[:CHECKSUM] + bytes(4) + page[CHECKSUM + 4 :]
    mirrored = zlib.crc32(blank.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)


def erase_serial(path: Path) -> None:
    """Sets the serial number of a file's one stream to 0, and its pages' checksums to match. libsndfile draws
    the number at random, so that the same sound would never give the same bytes.
    """
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as content:
        for start, end in _pages(content):
            struct.pack_into("<I", content, start + SERIAL, 0)
            struct.pack_into("<I", content, start + CHECKSUM, _checksum(content[start:end]))
