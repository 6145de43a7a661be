import contracts
import pytest
import torch

from vsep_ray.nn.flow import MultiScaleFlow


def flow(checkpointing=False):
    torch.manual_seed(0)
    made = MultiScaleFlow(2, (4, 2), 2, 0.5, "affine", "conv", True, 8, 1, 3, checkpointing)
    return contracts.jiggle(made, 0.2).double()


def test_checkpointing_changes_neither_density_nor_gradients(float64):
    arguments = torch.randn(3, 2, 16), torch.randn(3, 3), torch.rand(3) + 0.5
    plain, thrifty = flow().train(), flow(checkpointing=True).train()
    for model in (plain, thrifty):
        model.log_prob(*arguments).sum().backward()
    torch.testing.assert_close(plain.log_prob(*arguments), thrifty.log_prob(*arguments))
    for (name, p), q in zip(plain.named_parameters(), thrifty.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, msg=name)


def test_an_odd_number_of_channels_is_refused():
    with pytest.raises(ValueError, match="even"):
        MultiScaleFlow(1, (3,), 1, 0.0, "affine", "conv", True, 4, 1, 2, False)
