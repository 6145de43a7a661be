"""Blocks come back; nothing has a name."""

import os

import numpy as np
import pytest

from vsep_ray.streaming.scratch import Scratch


def test_blocks_come_back_in_any_order_while_others_are_written(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    rng, scratch = np.random.default_rng(0), Scratch()
    blocks = [rng.standard_normal((3, n)).astype(np.float32) for n in (5, 1, 0, 700)]
    for i, block in enumerate(blocks):
        scratch.append(np.asfortranarray(block))
        assert np.array_equal(scratch[i // 2], blocks[i // 2])
    assert (len(scratch), scratch.length) == (4, 706)
    assert all(np.array_equal(a, b) for a, b in zip(scratch, blocks, strict=True))
    assert list(scratch.tee(blocks)) == blocks and scratch.length == 2 * 706
    assert os.listdir(tmp_path) == []
    scratch.close()


def test_a_full_disk_is_an_error_of_the_system(monkeypatch):
    scratch = Scratch()
    monkeypatch.setattr(scratch, "_file", open("/dev/full", "wb", buffering=0))  # noqa: SIM115
    with pytest.raises(OSError, match="No space left"):
        scratch.append(np.ones((1, 9), np.float32))
