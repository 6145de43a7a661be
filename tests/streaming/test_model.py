"""What counts as out of memory, and what a worker does when its first batch is."""

import time

import contracts
import pytest
import torch

from vsep_ray.separators import Separator, SeparatorConfig, SpectrogramUNetConfig
from vsep_ray.streaming import Chunking, Model, Selection
from vsep_ray.streaming.model import (
    LARGEST,
    is_out_of_memory,
    may_span,
    pace,
    saturating,
    stream_model,
)


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


def test_a_batch_grows_until_a_larger_one_is_hardly_faster_or_leaves_no_room():
    assert saturating(lambda size: 1.0) == 1
    assert saturating(float) == LARGEST

    def full_at(limit):
        def pace(size):
            if size >= limit:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return float(size)

        return pace

    assert [saturating(full_at(limit)) for limit in (2, 4, 32)] == [1, 1, 8]
    with pytest.raises(torch.OutOfMemoryError):
        saturating(full_at(1))


@pytest.mark.parametrize(("channels", "samples"), [("each", 0), ("middle", 0), ("each", 2)])
def test_a_separator_of_mono_keeps_what_is_left_and_what_is_right(channels, samples):
    torch.manual_seed(0)
    backbone = SpectrogramUNetConfig(n_fft=64, hop=32, width=4, blocks=1)
    separator = Separator(SeparatorConfig(("a", "b"), 8_000, 1, (1.0, 1.0), backbone=backbone)).eval()
    selection, cpu = Selection.of(("a", "b")), torch.device("cpu")
    model = stream_model(separator, selection, samples, cpu, "float32", channels=channels)
    if channels == "middle":
        assert model.channels == 1
        return
    stereo = torch.randn(3, 2, 640)
    mono = stream_model(separator, selection, samples, cpu, "float32", channels="middle")
    apart = [mono.separate(stereo[:, c : c + 1]) for c in (0, 1)]
    assert model.channels == 2
    torch.testing.assert_close(model.separate(stereo), torch.cat(apart, 2), rtol=1e-4, atol=1e-6)


def test_what_is_mono_stays_in_the_middle():
    """A separator tells its channels apart by their places, and would spread a mono file."""
    torch.manual_seed(0)
    backbone = SpectrogramUNetConfig(n_fft=64, hop=32, width=4, blocks=1)
    separator = Separator(SeparatorConfig(("a", "b"), 8_000, 2, (1.0, 1.0), backbone=backbone)).eval()
    contracts.jiggle(separator)
    model = stream_model(separator, Selection.of(("a", "b")), 0, torch.device("cpu"), "float32")
    mono, stereo = torch.randn(1, 1, 640).expand(-1, 2, -1), torch.randn(1, 2, 640)
    alone, together = model.separate(mono), model.separate(torch.cat([stereo, mono]))
    assert torch.equal(alone[:, :, 0], alone[:, :, 1])
    torch.testing.assert_close(alone.sum(1), mono)
    torch.testing.assert_close(together[1:], alone)
    left, right = together[0].unbind(1)
    assert (left - right).abs().max() > 0.1
    own = separator(mono).mean
    assert (own[:, :, 0] - own[:, :, 1]).abs().max() > 1e-3, "it would have spread it"


def test_the_pace_of_a_model_is_in_chunks_per_second():
    def slow(mixture):
        time.sleep(0.05)
        return mixture[:, None]

    assert 0 < pace(Model(slow, ("a",), 8000, 1), 64, 3) <= 3 / 0.05
