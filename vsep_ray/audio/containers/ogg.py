"""Ogg files: whether all pages are there and whole, and a serial number that does not change from writing to
writing.

Reference: RFC 3533, section 6.
"""

import mmap
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from vsep_ray.audio.formats import AudioError

SERIAL, CHECKSUM, SEGMENTS = 14, 22, 26
"""Offsets in a page's header: serial number and checksum of 4 bytes each, number of segments of 1."""
FLAGS, FIRST = 5, 2
"""Offset of a page's flags, and that of a stream's first page."""
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def check(path: Path) -> bool:
    """Walk the pages of a file. Returns: whether streams follow one another, of which libsndfile reads the
    first (a chain; RFC 3533, section 4).

    Raises:
        AudioError: stage ``decode``, if a page is damaged, missing or cut off. Behind the last page anything
            may come, as some programs write tags there. That the last pages are missing cannot be known.
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
    """Start and end of page after page, until no other comes; the last end may lie behind the file's."""
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
    """The CRC-32 of a page but for the checksum in it: zlib's with the bits of bytes and result in the other
    order, starting at 0."""
    blank = page[:CHECKSUM] + bytes(4) + page[CHECKSUM + 4 :]
    mirrored = zlib.crc32(blank.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)


def erase_serial(path: Path) -> None:
    """Set the serial number of a file's one stream to 0, and its pages' checksums to match: libsndfile draws
    the number at random, so that the same sound would never give the same bytes."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as content:
        for start, end in _pages(content):
            struct.pack_into("<I", content, start + SERIAL, 0)
            struct.pack_into("<I", content, start + CHECKSUM, _checksum(content[start:end]))
