"""What libsndfile does not tell about an MP3: whether it knows its length.

Where the first frame is no Xing, Info or VBRI header, libsndfile takes the bit rate of the first frame for
that of all, and stops where it then expects the end: short of it or, with tags, behind it.

Reference: ISO/IEC 11172-3, 1993, 2.4.2.3 (header), 13818-3, 1995 (half the sample rates).
"""

from collections.abc import Iterator
from pathlib import Path

HEADER_BYTES = 4_096
"""Bytes in which the first frame lies."""
KBITS = (
    (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG 2 and 2.5, layer III
    (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG 1, layer III
)
HERTZ = (44_100, 48_000, 32_000)


def states_length(path: Path) -> bool:
    """Whether the first frame tells how many there are."""
    return any(name in _sound(path, HEADER_BYTES) for name in (b"Xing", b"Info", b"VBRI"))


def bit_rate_varies(path: Path) -> bool:
    """Whether the frames have different bit rates, so that the first one's says nothing of the length."""
    return len(set(_bit_rates(_sound(path, -1)))) > 1


def _sound(path: Path, num: int) -> bytes:
    """The first bytes behind the ID3v2 tags; all of them if ``num`` is -1."""
    with path.open("rb") as file:
        start = file.read(10)
        tags = sum(byte << 7 * i for i, byte in enumerate(reversed(start[6:10])))  # of seven bits each
        file.seek(10 + tags if start[:3] == b"ID3" else 0)
        return file.read(num)


def _bit_rates(sound: bytes) -> Iterator[int]:
    """kbit/s of frame after frame of layer III, until something else comes."""
    at = sound.find(b"\xff")
    while 0 <= at < len(sound) - 4:
        _, version, rates, _ = sound[at : at + 4]
        mpeg, layer = version >> 3 & 3, version >> 1 & 3
        if sound[at] != 0xFF or version < 0xE0 or mpeg == 1 or layer != 1 or rates >> 4 in (0, 15):
            return
        if rates >> 2 & 3 == 3:
            return
        kbits = KBITS[mpeg == 3][(rates >> 4) - 1]
        hertz = HERTZ[rates >> 2 & 3] >> (3 - mpeg if mpeg else 2)
        yield kbits
        at += (144 if mpeg == 3 else 72) * 1_000 * kbits // hertz + (rates >> 1 & 1)
