"""Wav files of floats get rid of the time at which they were written."""

import os
from pathlib import Path

TIME = 4
"""Offset of the time in a PEAK chunk, behind its version: 4 bytes each."""


def erase_time(path: Path) -> None:
    """Sets the time in the PEAK chunk to 0: libsndfile puts the clock there, and bytes would differ each
    time.

    Tags may come before that chunk, and have its name in them: chunks are followed by their sizes.
    """
    with path.open("r+b") as file:
        file.seek(12)  # RIFF, size, WAVE
        while len(head := file.read(8)) == 8 and head[:4] != b"data":
            if head[:4] == b"PEAK":
                file.seek(TIME, os.SEEK_CUR)
                file.write(bytes(4))
                return
            size = int.from_bytes(head[4:], "little")
            file.seek(size + size % 2, os.SEEK_CUR)
