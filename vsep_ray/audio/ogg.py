"""Ogg files with a serial number that does not change from writing to writing."""

import mmap
import struct
from pathlib import Path

POLYNOMIAL = 0x04C11DB7
SERIAL, CHECKSUM, SEGMENTS = 14, 22, 26
"""Offsets in a page's header: serial number and checksum of 4 bytes each, number of segments of 1."""


def erase_serial(path: Path) -> None:
    """Set the serial number of a file's one stream to 0, and its pages' checksums to match.

    libsndfile draws the number at random, so that the same sound would never give the same bytes. A page's
    checksum is linear in its bytes, so that of the change alone, which is the old number followed by
    zeros, is taken away from it.

    Reference: RFC 3533, section 6.
    """
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as content:
        start = 0
        while start < len(content):
            assert content[start : start + 4] == b"OggS", (path, start)
            segments = content[start + SEGMENTS]
            table = start + SEGMENTS + 1
            end = table + segments + sum(content[table : table + segments])
            _erase(content, start, end)
            start = end


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
