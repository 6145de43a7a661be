"""Blocks come back; nothing has a name."""

import os
from itertools import islice

import numpy as np
import pytest

from vsep_ray.streaming import scratch as module
from vsep_ray.streaming.scratch import Scratch


@pytest.mark.parametrize("kept", [0, 70, 1 << 20])  # all on disk, the first two in memory, all in memory
def test_blocks_come_back_in_any_order_while_others_are_written(tmp_path, monkeypatch, kept):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(module, "KEPT", kept)
    rng, scratch = np.random.default_rng(0), Scratch()
    blocks = [rng.standard_normal((3, n)).astype(np.float32) for n in (5, 1, 0, 700)]
    for i, block in enumerate(blocks):
        scratch.append(np.asfortranarray(block))
        assert np.array_equal(next(islice(scratch, i // 2, None)), blocks[i // 2])
    assert scratch.length == 706
    assert all(np.array_equal(a, b) for a, b in zip(scratch, blocks, strict=True))
    assert list(scratch.tee(blocks)) == blocks and scratch.length == 2 * 706
    assert os.listdir(tmp_path) == []
    written = os.fstat(scratch._file.fileno()).st_size
    assert written == {0: 2 * 706 * 12, 70: 2 * 706 * 12 - 72 + 12, 1 << 20: 0}[kept]
    scratch.close()


def test_nobody_changes_what_is_kept():
    scratch = Scratch()
    scratch.append(np.ones((1, 9), np.float32))
    with pytest.raises(ValueError, match="read-only"):
        next(iter(scratch))[:] = 0


def test_a_full_disk_is_an_error_of_the_system(monkeypatch):
    monkeypatch.setattr(module, "KEPT", 0)
    scratch = Scratch()
    monkeypatch.setattr(scratch, "_file", open("/dev/full", "wb", buffering=0))  # noqa: SIM115
    with pytest.raises(OSError, match="No space left"):
        scratch.append(np.ones((1, 9), np.float32))
