"""What counts as out of memory, and what a worker does when its first batch is."""

import pytest
import torch

from vsep_ray.streaming import Chunking, Model
from vsep_ray.streaming.model import is_out_of_memory, may_span


def test_a_batch_that_does_not_fit_into_memory_is_no_end_of_a_worker():
    def full(mixture):
        raise torch.OutOfMemoryError("CUDA out of memory")

    assert not may_span(Model(full, ("a",), 8000, 1), Chunking(64, 48, 2))


def test_other_mistakes_of_a_model_are_not_hidden():
    def wrong(mixture):
        raise RuntimeError("shape")

    with pytest.raises(RuntimeError, match="shape"):
        may_span(Model(wrong, ("a",), 8000, 1), Chunking(64, 48, 2))


def test_memory_that_pytorch_cannot_allocate_on_the_cpu_counts_as_out_of_memory():
    try:
        torch.empty(2**60)
    except RuntimeError as error:
        assert is_out_of_memory(error)
