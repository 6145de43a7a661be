"""A parcel is small, and a training goes on from it."""

import dataclasses
import itertools

import contracts
import pytest
import torch
from gpu import parcel

from vsep_ray import checkpoint
from vsep_ray.objectives import Sleep
from vsep_ray.separators import Separator, SeparatorConfig, SpectrogramUNetConfig
from vsep_ray.training import FitConfig, FitState, fit

CONFIG = FitConfig(steps=12, batch_size=8, learning_rate=1e-3, warmup=4, log_every=4, precision="float32")
SMALL = SpectrogramUNetConfig(n_fft=64, hop=32, width=32, blocks=1)
MODEL = SeparatorConfig(("a", "b"), sample_rate=8_000, channels=1, scales=(1.0, 1.0), backbone=SMALL)


def trained(state, steps):
    """The last loss of a training on one batch."""
    losses = []
    clips = [contracts.toy_clips(shape)[:8] for shape in ("sawtooth", "sine")]
    batches = itertools.repeat({"remix": torch.stack(clips, 1)})
    config = dataclasses.replace(CONFIG, steps=steps)
    fit(Sleep(state.module), batches, config, state=state, report=lambda s, m: losses.append(m["loss"]))
    return losses[-1]


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(0)
    state = FitState.create(Separator(MODEL), CONFIG)
    trained(state, CONFIG.steps)
    return state


@pytest.fixture(scope="module")
def found(state, tmp_path_factory):
    folder = tmp_path_factory.mktemp("parcels") / "parcel"
    for said in ("first", "second"):  # one replaces the other
        parcel.write(folder, state, {"said": said})
    assert parcel.read(folder, CONFIG)[1] == {"said": "second"}
    return folder


def test_it_takes_five_bytes_per_parameter_and_a_little_for_names(state, found):
    count = sum(p.numel() for p in state.module.parameters())
    names = 1_000 * len(list(state.module.parameters()))
    assert sum(path.stat().st_size for path in found.iterdir()) < 5 * count + names


def test_weights_average_and_moments_come_back_nearly_as_they_were(state, found):
    again, _ = parcel.read(found, CONFIG)
    assert (again.step, again.seconds) == (state.step, state.seconds)
    for (name, old), new in zip(state.module.named_parameters(), again.module.parameters(), strict=True):
        spread = (old - state.average[name]).abs().max().item() + old.abs().max().item() / 256
        torch.testing.assert_close(new, old, rtol=0, atol=spread / 8)
        torch.testing.assert_close(again.average[name], state.average[name], rtol=2**-8, atol=1e-30)
        before, after = state.optimizer.state[old], again.optimizer.state[new]
        largest = before["exp_avg_sq"].max().item()
        torch.testing.assert_close(after["exp_avg_sq"], before["exp_avg_sq"], rtol=0.3, atol=1e-8 * largest)
        torch.testing.assert_close(after["exp_avg"], before["exp_avg"], rtol=0.25, atol=1e-2 * largest**0.5)


def test_training_goes_on_from_it_as_it_would_have(state, found, tmp_path):
    checkpoint.save(tmp_path, state.module, {}, state)
    exact = FitState.create(Separator(MODEL), CONFIG)
    checkpoint.load_training(tmp_path, exact)
    wanted = trained(exact, 20)
    assert trained(parcel.read(found, CONFIG)[0], 20) == pytest.approx(wanted, abs=0.02 * abs(wanted))


def test_a_checkpoint_of_it_is_the_average_and_a_parcel_of_that_the_same(state, found, tmp_path):
    parcel.unpack(found, tmp_path / "checkpoint")
    weights = checkpoint.load_separator(tmp_path / "checkpoint").state_dict()
    for name, value in state.average.items():
        torch.testing.assert_close(weights[name], value.to(torch.bfloat16).float(), rtol=0, atol=0)
    parcel.pack(tmp_path / "checkpoint", tmp_path / "parcel")
    for path in found.glob("*.safetensors"):
        one, two = (parcel.load_file(p) for p in (path, tmp_path / "parcel" / path.name))
        assert all(torch.equal(one[k].float(), two[k].float()) for k in one if k.startswith("average/"))


def test_a_large_one_is_several_files(state, tmp_path, monkeypatch):
    monkeypatch.setattr(parcel, "LARGEST", 20_000)
    parcel.write(tmp_path / "parcel", state, {})
    assert len(list((tmp_path / "parcel").glob("*.safetensors"))) > 1
    again, _ = parcel.read(tmp_path / "parcel", CONFIG)
    assert again.average.keys() == state.average.keys()
