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

POLYNOMIAL = 0x04C11DB7
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
            if _checksum(page[:CHECKSUM] + bytes(4) + page[CHECKSUM + 4 :]) != stated:
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
        head = content[start : start + SEGMENTS + 256]
        segments = head[SEGMENTS] if len(head) > SEGMENTS else 255
        table = head[SEGMENTS + 1 : SEGMENTS + 1 + segments]
        whole = len(table) == segments
        end = start + SEGMENTS + 1 + segments + sum(table) if whole else len(content) + 1
        yield start, end
        start = end
    if content.find(b"OggS", start) >= 0:
        raise AudioError("decode", f"damaged: there is no Ogg page at byte {start}, and others come behind")


def _checksum(page: bytes) -> int:
    """The CRC-32 of a page: zlib's with the bits of bytes and result in the other order, starting at 0."""
    mirrored = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)


def erase_serial(path: Path) -> None:
    """Set the serial number of a file's one stream to 0, and its pages' checksums to match.

    libsndfile draws the number at random, so that the same sound would never give the same bytes. A page's
    checksum is linear in its bytes, so that of the change alone, which is the old number followed by
    zeros, is taken away from it.
    """
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as content:
        for start, end in _pages(content):
            _erase(content, start, end)


def _erase(content: mmap.mmap, start: int, end: int) -> None:
    (serial,) = struct.unpack_from(">I", content, start + SERIAL)  # the checksum takes the first byte first
    (checksum,) = struct.unpack_from("<I", content, start + CHECKSUM)
    bits_after = 8 * (end - start - SERIAL - 4)
    change = _times(_times(serial, _power(32)), _power(bits_after))
    struct.pack_into("<I", content, start + SERIAL, 0)
    struct.pack_into("<I", content, start + CHECKSUM, checksum ^ change)


def _power(exponent: int) -> int:
    """x^exponent modulo the polynomial, over GF(2); bit i stands for x^i."""
    result, square = 1, 2
    while exponent:
        if exponent & 1:
            result = _times(result, square)
        square, exponent = _times(square, square), exponent >> 1
    return result


def _times(a: int, b: int) -> int:
    """The product of two polynomials of degree below 32, modulo the polynomial."""
    result = 0
    while b:
        if b & 1:
            result ^= a
        a <<= 1
        if a >> 32:
            a = (a & 0xFFFFFFFF) ^ POLYNOMIAL
        b >>= 1
    return result
