"""Blocks of audio on local disk between decoding and encoding."""

import os
import tempfile
from collections.abc import Iterable, Iterator

import numpy as np

from vsep_ray.audio.dsp import Audio


class Scratch:
    """Float32 blocks (rows, n) in a file without a name: a process that is killed leaves nothing behind.

    One thread may append while another reads what is there. The folder is the system's for temporary files
    (``TMPDIR``).

    Raises:
        OSError: the disk is full.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  (closed with the object)
        self._shapes: list[tuple[int, int, int]] = []  # offset, rows, samples
        self.length = 0

    def append(self, block: Audio) -> None:
        """Write a block of any length."""
        data = np.ascontiguousarray(block, np.float32).reshape(-1).view(np.uint8).data
        offset = start = self._end()
        while len(data):
            written = os.pwrite(self._file.fileno(), data, offset)
            data, offset = data[written:], offset + written
        self._shapes.append((start, *block.shape))
        self.length += block.shape[1]

    def tee(self, blocks: Iterable[Audio]) -> Iterator[Audio]:
        """The same blocks, each written as it passes."""
        for block in blocks:
            self.append(block)
            yield block

    def __len__(self) -> int:
        return len(self._shapes)

    def __getitem__(self, index: int) -> Audio:
        offset, rows, length = self._shapes[index]
        block = np.empty((rows, length), np.float32)
        if block.size:
            os.preadv(self._file.fileno(), [block.data], offset)
        return block

    def __iter__(self) -> Iterator[Audio]:
        return (self[i] for i in range(len(self)))

    def close(self) -> None:
        """Give the disk space back."""
        self._file.close()

    def _end(self) -> int:
        if not self._shapes:
            return 0
        offset, rows, length = self._shapes[-1]
        return offset + 4 * rows * length
