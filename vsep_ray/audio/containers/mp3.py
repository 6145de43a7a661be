"""The frames of an MP3 are counted here, where its first frame does not state how many there are.

Without a Xing, Info or VBRI header libsndfile takes the bit rate of the first frame for that of all, and
stops where it then expects the end: short of it or, with tags, behind it; and at the first damage as if that
were the end. Here frames are counted as a player finds them, which looks for the next one behind whatever is
none.

Reference: ISO/IEC 11172-3, 1993, 2.4.2.3 (header), 13818-3, 1995 (half the sample rates).
"""

import mmap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vsep_ray.audio.formats import AudioError
from vsep_ray.audio.resampling import Audio

HEADER_BYTES = 4_096
"""The first frame lies within this number of bytes."""
KBITS = (
    (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG 2 and 2.5, layer III
    (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG 1, layer III
)
HERTZ = (44_100, 48_000, 32_000)
TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICS")
"""Tags may lie between frames where files were joined."""
SLACK = 3 * 1_152
"""Decoders leave out no more samples than these three frames, which need others before them."""


@dataclass(frozen=True)
class Frames:
    """The frames of layer III in a file are summed up.

    Attributes:
        samples: per channel, in all frames; 0 if there are none.
        gap: offset (bytes) of the first thing between frames that is neither frame nor tag; else None.
        plain: whether all frames have one bit rate, and nothing lies around the sound but an ID3 tag.
    """

    samples: int
    gap: int | None
    plain: bool


def states_length(path: Path) -> bool:
    """Returns whether the first frame tells how many there are."""
    with path.open("rb") as file:
        file.seek(_tags(file.read(10)))
        start = file.read(HEADER_BYTES)
    return any(name in start for name in (b"Xing", b"Info", b"VBRI"))


def frames(path: Path) -> Frames:
    """Returns the sum of all frames of a file that is not empty."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        end = _tags(content[:10])
        samples, rates, gap, alone = 0, set[int](), None, True
        for at, size, num, kbits in _walk(content, end):
            if not samples:
                alone = at == end
            elif at > end and gap is None and not content[end : end + 8].startswith(TAGS):
                gap = end
            samples, end = samples + num, at + size
            rates.add(kbits)
        alone &= end == len(content) or (end == len(content) - 128 and content[end : end + 3] == b"TAG")
        return Frames(samples, gap, alone and len(rates) < 2)


def whole(blocks: Iterable[Audio], samples: int) -> Iterator[Audio]:
    """Yields the blocks (C, n) of a file whose frames hold ``samples`` samples (0: unknown), behind which a
    decoder may fail: there is no sound.

    Raises:
        AudioError: stage ``decode``; the blocks end before.
    """
    decoded = 0
    try:
        for block in blocks:
            decoded += block.shape[1]
            yield block
    except AudioError:
        if not samples or decoded < samples - SLACK:
            raise
    if decoded < samples - SLACK:
        raise AudioError("decode", f"damaged: {decoded} of {samples} samples could be decoded")


def _tags(start: bytes) -> int:
    """Returns the bytes of the ID3v2 tag that a file starts with."""
    if start[:3] != b"ID3":
        return 0
    return 10 + sum(byte << 7 * i for i, byte in enumerate(reversed(start[6:10])))  # of seven bits each


def _walk(content: mmap.mmap, at: int) -> Iterator[tuple[int, int, int, int]]:
    """Yields offset, bytes, samples and kbit/s of frame after frame. One that does not follow another at once
    must itself be followed by one of its sample rate, or the end.
    """
    expected = -1
    while at < len(content) - 4:
        found = _header(content, at)
        if found and at != expected and at + found[0] < len(content) - 4:
            after = _header(content, at + found[0])
            found = found if after and after[3] == found[3] else None
        if found:
            size, samples, kbits, _ = found
            yield at, size, samples, kbits
            at = expected = at + size
        else:
            at = content.find(b"\xff", at + 1)
            if at < 0:
                return


def _header(content: mmap.mmap, at: int) -> tuple[int, int, int, int] | None:
    """Returns bytes, samples, kbit/s and Hz of the frame at an offset, None if there is none."""
    sync, version, rates = content[at : at + 3]
    mpeg, layer = version >> 3 & 3, version >> 1 & 3
    if sync != 0xFF or version < 0xE0 or mpeg == 1 or layer != 1 or rates >> 4 in (0, 15) or rates & 12 == 12:
        return None
    kbits = KBITS[mpeg == 3][(rates >> 4) - 1]
    hertz = HERTZ[rates >> 2 & 3] >> (3 - mpeg if mpeg else 2)
    factor = 144 if mpeg == 3 else 72
    return factor * 1_000 * kbits // hertz + (rates >> 1 & 1), 8 * factor, kbits, hertz
