"""Serial numbers go, checksums stay right."""

import struct

import numpy as np
import pytest
import soundfile

from vsep_ray.audio import io
from vsep_ray.audio.containers import ogg


def checksum(page):
    """RFC 3533: x^32 + ... of the page with its checksum set to zero, bit by bit."""
    remainder, polynomial = 0, 0x04C11DB7
    for byte in page:
        remainder ^= byte << 24
        for _ in range(8):
            remainder = (remainder << 1) ^ (polynomial if remainder & 0x80000000 else 0)
        remainder &= 0xFFFFFFFF
    return remainder


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_pages_have_serial_number_0_and_a_valid_checksum(tmp_path, subtype):
    audio = np.random.default_rng(0).uniform(-0.3, 0.3, 48_000)
    path = tmp_path / "x.ogg"
    soundfile.write(path, audio, 48_000, format="OGG", subtype=subtype)
    before = soundfile.read(path)[0]
    ogg.erase_serial(path)
    pages = path.read_bytes().split(b"OggS")[1:]
    assert len(pages) > 2
    for page in (b"OggS" + p for p in pages):
        serial, _, stored = struct.unpack_from("<III", page, ogg.SERIAL)
        assert serial == 0
        assert checksum(page[: ogg.CHECKSUM] + bytes(4) + page[ogg.CHECKSUM + 4 :]) == stored
    assert np.array_equal(io.read(path)[0][0], before.astype(np.float32))
