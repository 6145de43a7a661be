import pytest
import torch

from vsep_ray.nn.vq import Codebook, perplexity


def book(vectors, decay=0.5):
    made = Codebook(len(vectors), len(vectors[0]), decay)
    made.vectors.copy_(torch.tensor(vectors))
    made.counts.fill_(1.0)
    return made


def test_every_vector_gets_the_nearest_code():
    codes = book([[0.0, 0.0], [1.0, 1.0]]).eval()
    vectors, index = codes(torch.tensor([[[0.2, 0.9], [-0.1, 1.3]]]))
    assert index.tolist() == [[0, 1]]
    torch.testing.assert_close(vectors, torch.tensor([[[0.0, 1.0], [0.0, 1.0]]]))
    assert torch.equal(codes.lookup(index), vectors)


def test_the_gradient_passes_straight_through():
    x = torch.randn(2, 2, 5, requires_grad=True)
    vectors, _ = book([[0.0, 0.0], [1.0, 1.0]]).eval()(x)
    (gradient,) = torch.autograd.grad((3 * vectors).sum(), x)
    torch.testing.assert_close(gradient, torch.full_like(x, 3))


def test_codes_move_to_the_mean_of_those_that_chose_them():
    torch.manual_seed(0)
    codes = book([[-0.5], [0.5]]).train()
    points = torch.tensor([-3.0, -1.0, 2.0, 4.0]).repeat(8).reshape(1, 1, -1)
    for _ in range(30):
        codes(points)
    torch.testing.assert_close(codes.vectors.flatten(), torch.tensor([-2.0, 3.0]), atol=1e-3, rtol=0)


def test_a_code_that_nobody_chooses_restarts_at_an_input():
    torch.manual_seed(0)
    codes = book([[0.0], [99.0]], decay=0.3).train()
    points = 0.1 * torch.randn(1, 1, 64)
    for _ in range(8):
        codes(points)
    assert codes.vectors.abs().max() < 1
    assert codes.nearest(points).unique().tolist() == [0, 1]


def test_in_eval_mode_and_after_a_bad_batch_nothing_moves():
    codes = book([[0.0], [1.0]])
    before = codes.vectors.clone()
    codes.eval()(torch.randn(1, 1, 9))
    codes.train()(torch.full((1, 1, 9), torch.nan))
    assert torch.equal(codes.vectors, before)


def test_perplexity_counts_the_codes_in_use():
    assert perplexity(torch.tensor([[3, 3, 3]]), 8).item() == pytest.approx(1)
    assert perplexity(torch.arange(8)[None], 8).item() == pytest.approx(8)
