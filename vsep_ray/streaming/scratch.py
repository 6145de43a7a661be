"""Blocks of audio wait between decoding and encoding, in memory, and on local disk where they are many."""

import os
import tempfile
from collections.abc import Iterable, Iterator

import numpy as np

from vsep_ray.audio.resampling import Audio

KEPT = 64 << 20
"""This number of bytes stays in memory: three minutes of stereo at 44.1 kHz never see a disk."""


class Scratch:
    """A scratch holds float32 blocks (rows, n), those beyond `KEPT` bytes in a file without a name: a process
    that is killed leaves nothing behind.

    One thread may append while another reads what is there. The folder is the system's for temporary files
    (``TMPDIR``). Blocks are kept as they are: whoever appends one must not change it any more.

    Raises:
        OSError: the disk is full.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the object)
        self._places: list[Audio | tuple[int, tuple[int, ...]]] = []  # a block, or its offset and shape
        self._kept = self.length = 0

    def append(self, block: Audio) -> None:
        """Keeps or writes a block of any length."""
        block = np.ascontiguousarray(block, np.float32).view()
        if self._kept + block.nbytes <= KEPT:
            block.flags.writeable = False
            self._kept += block.nbytes
            self._places.append(block)
        else:
            self._places.append((self._file.tell(), block.shape))
            self._file.write(block.data)
            self._file.flush()  # what is read does not go through the file's buffer
        self.length += block.shape[1]

    def tee(self, blocks: Iterable[Audio]) -> Iterator[Audio]:
        """Yields the same blocks, each appended as it passes."""
        for block in blocks:
            self.append(block)
            yield block

    def __iter__(self) -> Iterator[Audio]:
        for place in self._places:
            if isinstance(place, np.ndarray):
                yield place
                continue
            offset, shape = place
            block = np.empty(shape, np.float32)
            if block.size:
                os.preadv(self._file.fileno(), [block.data], offset)
            yield block

    def close(self) -> None:
        """Gives memory and disk space back."""
        self._places.clear()
        self._file.close()
