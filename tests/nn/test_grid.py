import pytest
import torch

from vsep_ray.nn.grid import AcrossBands, AlongTime, Attention, Perceptron, Recurrent, Residual

LAYERS = {
    "convolution": (lambda: AlongTime(8, 2), "time"),
    "linear": (lambda: AcrossBands(5, 2), "bands"),
    "perceptron": (lambda: Perceptron(8, 1), None),
    "recurrent along time": (lambda: Recurrent(8, along_time=True), "time"),
    "recurrent across bands": (lambda: Recurrent(8, along_time=False), "bands"),
    "attention along time": (lambda: Attention(8, 2, along_time=True), "time"),
    "attention across bands": (lambda: Attention(8, 2, along_time=False), "bands"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_residual_layer_starts_as_the_identity(name):
    x = torch.randn(2, 7, 5, 8)
    torch.testing.assert_close(Residual(8, LAYERS[name][0]())(x), x)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_mixes_along_its_axis_only(name):
    make, axis = LAYERS[name]
    layer, x = make(), torch.randn(1, 7, 5, 8, requires_grad=True)
    layer(x)[0, 3, 2].sum().backward()
    reached = (x.grad != 0).any(-1)[0]
    frames, bands = reached.any(1), reached.any(0)
    assert (frames.sum() > 1) == (axis == "time")
    assert (bands.sum() > 1) == (axis == "bands")


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_gives_an_item_the_same_in_any_batch(name):
    layer, x = LAYERS[name][0](), torch.randn(3, 7, 5, 8)
    torch.testing.assert_close(layer(x)[1:2], layer(x[1:2]))


def test_attention_knows_the_distance_of_places_and_not_their_number():
    layer, x = Attention(8, 2, along_time=True), torch.randn(1, 4, 1, 8)
    x = x.detach()
    later = torch.cat([torch.zeros(1, 0, 1, 8), x], 1)
    torch.testing.assert_close(layer(later), layer(x))
    order = torch.tensor([0, 2, 1, 3])
    assert not torch.allclose(layer(x[:, order])[:, order], layer(x))
