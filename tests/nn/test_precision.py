"""bf16 is a matter of networks alone: nothing else ever sees it."""

import contracts
import pytest
import torch
from torch import nn

from vsep_ray.nn import precision
from vsep_ray.nn.precision import computing, network, resolve

CPU = torch.device("cpu")


class Spy(nn.Module):
    """Keeps what a product of matrices came out as, beside what is handed on."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    @network
    def forward(self, x):
        self.inside = self.layer(x)
        return self.inside, self.inside.sum()


@pytest.mark.parametrize(("asked", "inside"), [("float32", torch.float32), ("bf16", torch.bfloat16)])
def test_only_networks_compute_in_it_and_hand_on_float32(asked, inside):
    spy, x = Spy(), torch.randn(4, 3)
    with computing(asked, CPU):
        outputs = spy(x)
        assert (x @ x.T).dtype == torch.float32
    assert spy.inside.dtype == inside and all(y.dtype == torch.float32 for y in outputs)
    outputs[0].sum().backward()
    assert spy.layer.weight.grad.dtype == torch.float32
    spy(x)
    assert spy.inside.dtype == torch.float32  # again


def test_what_is_float64_stays_so():
    spy, x = Spy().double(), torch.randn(4, 3, dtype=torch.float64)
    with computing("bf16", CPU):
        outputs = spy(x)
    assert all(y.dtype == torch.float64 for y in (spy.inside, *outputs))


def test_what_is_not_asked_for_is_left_to_the_hardware(monkeypatch):
    for there in (True, False):
        monkeypatch.setattr(precision, "multiplies_bf16", lambda device, there=there: there)
        assert resolve("auto", CPU) == ("bf16" if there else "float32")
        assert (resolve("float32", CPU), resolve("bf16", CPU)) == ("float32", "bf16")


@pytest.mark.parametrize(
    ("found", "multiplies"),
    [({"amx_bf16": True}, True), ({"avx512_bf16": True}, True), ({"avx512_f": True}, False)],
)
def test_hardware_is_known_by_its_instructions(found, multiplies, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)
    assert precision.multiplies_bf16(CPU) == multiplies


def test_gpus_are_known_by_their_compute_capability(monkeypatch):
    for capability, multiplies in {(7, 5): False, (8, 0): True, (9, 0): True}.items():
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device, found=capability: found)
        assert precision.multiplies_bf16(torch.device("cuda")) == multiplies


@pytest.mark.parametrize("name", contracts.BACKBONES)
def test_every_backbone_s_network_is_marked(name):
    backbone = contracts.jiggle(contracts.BACKBONES[name].build(2, 1))
    mixture = torch.randn(2, 1, contracts.some_length(backbone))
    with computing("bf16", CPU):
        rounded = backbone(mixture)
    assert not torch.equal(rounded, backbone(mixture))


@pytest.mark.parametrize("name", contracts.PRIORS)
def test_every_prior_s_network_is_marked(name):
    prior = contracts.build_prior(contracts.PRIORS[name])
    x, level = torch.randn(2, 1, contracts.length_of(prior)), contracts.levels(prior, 2)
    with computing("bf16", CPU):
        rounded = prior.log_prob(x, level)
    assert not torch.equal(rounded, prior.log_prob(x, level))
