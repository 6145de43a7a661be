"""overlap_add against the identity, an in-memory reference and one forward pass; constant memory."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from vsep_ray import chunking
from vsep_ray.chunking import chunks_of, fade, overlap_add, places_are_equal, separate_chunks, stitched


def split(x, sizes):
    start = 0
    while start < x.shape[-1]:
        n = sizes[start % len(sizes)]
        yield x[..., start : start + n]
        start += n


def in_memory(separate, x, chunk, hop):
    """The slow reference: all chunks at once, weights and their sum over the whole track."""
    length = x.shape[-1]
    count = 1 + max(0, -(-(length - chunk) // hop))
    total, norm = 0, torch.zeros(length)
    for i in range(count):
        part = x[..., i * hop : i * hop + chunk]
        padded = nn.functional.pad(part, (0, chunk - part.shape[-1]))
        n, after = part.shape[-1], length - i * hop - part.shape[-1]
        w = fade(chunk, hop)[:n]
        total = total + nn.functional.pad(separate(padded[None])[0][..., :n] * w, (i * hop, after))
        norm = norm + nn.functional.pad(w, (i * hop, after))
    return total / norm


def network(sources=3, channels=2):
    torch.manual_seed(0)
    first, last = nn.Conv1d(channels, 8, 9, padding=4), nn.Conv1d(8, sources * channels, 9, padding=4)
    body = nn.Sequential(first, nn.Tanh(), last)
    return torch.no_grad()(lambda x: body(x).unflatten(1, (sources, channels)))


grid = st.integers(1, 40).flatmap(lambda chunk: st.tuples(st.just(chunk), st.integers(1, chunk)))


@settings(deadline=None, max_examples=200)
@given(grid, st.integers(1, 200), st.lists(st.integers(1, 50), min_size=1, max_size=4), st.integers(1, 5))
def test_the_identity_returns_its_input(grid, length, sizes, batch_size):
    chunk, hop = grid
    x = torch.randn(2, length)
    blocks = split(x, sizes)
    out = list(overlap_add(lambda m: m[:, None], blocks, chunk=chunk, hop=hop, batch_size=batch_size))
    torch.testing.assert_close(torch.cat(out, -1)[0], x)


@settings(deadline=None, max_examples=60)
@given(grid, st.integers(1, 200), st.lists(st.integers(1, 50), min_size=1, max_size=4), st.integers(1, 5))
def test_a_random_network_equals_the_in_memory_reference(grid, length, sizes, batch_size):
    chunk, hop = grid
    separate, x = network(), torch.randn(2, length)
    out = list(overlap_add(separate, split(x, sizes), chunk=chunk, hop=hop, batch_size=batch_size))
    torch.testing.assert_close(torch.cat(out, -1), in_memory(separate, x, chunk, hop), atol=1e-5, rtol=0)


def test_a_finite_receptive_field_equals_one_pass_in_the_interiors():
    separate, x = network(), torch.randn(2, 1000)
    chunk, hop = 100, 100
    whole = separate(x[None])[0]
    out = torch.cat(list(overlap_add(separate, [x], chunk=chunk, hop=hop)), -1)
    interior = (torch.arange(1000) % 100 >= 8) & (torch.arange(1000) % 100 < 92)
    torch.testing.assert_close(out[..., interior], whole[..., interior], atol=1e-5, rtol=0)


def test_every_forward_pass_has_the_same_shape():
    shapes = set()

    def separate(m):
        shapes.add(tuple(m.shape))
        return m[:, None]

    list(overlap_add(separate, [torch.randn(1, 103)], chunk=10, hop=8, batch_size=4))
    assert shapes == {(4, 1, 10)}


GRIDS = [(1, 1, 1), (6, 1, 6), (7, 2, 3), (13, 3, 5), (14, 3, 6), (15, 4, 3)]


@pytest.mark.parametrize(("length", "count", "last"), GRIDS)
def test_the_grid_of_the_drawing(length, count, last):
    chunks = list(chunks_of([torch.arange(length)], 6, 4))
    assert len(chunks) == count
    assert [int(c[0]) for c in chunks] == list(range(0, 4 * count, 4))
    assert chunks[-1].shape == (last,)
    assert torch.cat(list(stitched((c.float() for c in chunks), 6, 4))).tolist() == list(range(length))


def test_nothing_in_nothing_out():
    assert list(overlap_add(lambda m: m[:, None], [], chunk=4, hop=2)) == []


def test_blocks_come_out_as_soon_as_they_are_final():
    """Constant memory: between the first block in and the last block out at most a few chunks are held."""
    fed = 0

    def stream():
        nonlocal fed
        for _ in range(200):
            fed += 1000
            yield torch.zeros(1, 1000)

    done = 0
    for out in overlap_add(lambda m: m[:, None], stream(), chunk=4000, hop=3000, batch_size=2):
        done += out.shape[-1]
        assert fed - done <= 3 * 4000
    assert done == 200_000


@pytest.mark.parametrize("span", [True, False])
def test_batches_fill_across_streams_unless_they_must_not(span):
    sizes = []

    def separate(mixture):
        sizes.append(int((mixture != 0).any(-1).sum()))
        return mixture[:, None]

    items = [(i, torch.ones(1, 3)) for i in (0, 0, 0)] + [(0, "end"), (1, "bad"), (2, torch.ones(1, 2))]
    items += [(2, "end"), (3, torch.ones(1, 3)), (3, torch.ones(1, 3)), (3, "end")]
    out = list(separate_chunks(separate, items, 3, 2, span=span))
    assert sizes == ([2, 2, 2] if span else [2, 1, 1, 2])
    assert [(k, x if isinstance(x, str) else tuple(x.shape)) for k, x in out] == [
        (k, x if isinstance(x, str) else (1, *x.shape)) for k, x in items
    ]


def test_places_of_a_batch_are_equal_or_not():
    assert places_are_equal(lambda m: m[:, None].tanh(), 2, 32, 4)
    assert not places_are_equal(
        lambda m: m[:, None] * torch.linspace(1, 1 + 1e-6, 4)[:, None, None, None], 2, 32, 4
    )


@pytest.mark.parametrize("span", [True, False])
def test_while_a_gpu_works_on_a_batch_the_one_before_comes_out(span, monkeypatch):
    """A device that answers later is played by one whose answers are only waited for."""
    started, waited = [], []

    def separate(mixture):
        started.append(len(started))
        return mixture[:, None] + 1

    def arriving(x):
        batch = started[-1]
        return lambda: (waited.append((batch, len(started))), x)[1], True

    items = [(i, torch.full((1, 4), float(i))) for i in range(5)]
    items.insert(3, ("end", None))
    expected = list(separate_chunks(separate, items, 4, 2, span=span))
    started.clear()
    monkeypatch.setattr(chunking, "arriving", arriving)
    found = list(separate_chunks(separate, items, 4, 2, span=span))
    assert [key for key, _ in found] == [key for key, _ in items]
    for (_, x), (_, y) in zip(found, expected, strict=True):
        assert x is y is None or torch.equal(x, y)
    last = len(started)
    assert waited == [(batch, min(batch + 2, last)) for batch in range(last)]
