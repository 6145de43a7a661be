"""A model on disk: it comes back as it was, or not at all."""

import json
import os
import shutil

import contracts
import pytest
import torch
from safetensors.torch import load_file, save_file

from vsep_ray import checkpoint
from vsep_ray.config import UserError
from vsep_ray.priors import FlowConfig
from vsep_ray.separators import FactorisedNormalConfig, Separator, SeparatorConfig, SpectrogramUNetConfig
from vsep_ray.training import FitConfig, FitState

BACKBONE = SpectrogramUNetConfig(n_fft=32, hop=8, width=8, blocks=1)
SEPARATOR = SeparatorConfig(
    ("bass", "drums"), 8_000, 1, (1.0, 0.5), 0.0, BACKBONE, FactorisedNormalConfig(-5.0)
)
FLOW = FlowConfig(squeeze=(8,), steps=2, width=8, layers=1, embedding=4)
MODULES = {"prior": lambda: FLOW.build(8_000, 2), "separator": lambda: Separator(SEPARATOR)}


@pytest.fixture(params=MODULES)
def module(request):
    torch.manual_seed(0)
    return contracts.jiggle(MODULES[request.param]()).eval()


def output(module):
    torch.manual_seed(1)
    x = torch.randn(2, module.channels, 64)
    with torch.no_grad():
        return (
            module(x).mean if isinstance(module, Separator) else module.log_prob(x, torch.tensor([0.1, 0.5]))
        )


def test_a_model_comes_back_as_it_was(module, tmp_path):
    checkpoint.save(tmp_path / "model", module, {"regime": "B", "run_id": "x"})
    again = checkpoint.load(tmp_path / "model")
    assert type(again) is type(module) and again.config == module.config and not again.training
    assert torch.equal(output(again), output(module))
    assert checkpoint.read_provenance(tmp_path / "model").items() >= {"regime": "B", "run_id": "x"}.items()
    assert not list(tmp_path.rglob("*.part"))


def test_saving_again_replaces_it(module, tmp_path):
    checkpoint.save(tmp_path, module, {})
    contracts.jiggle(module)
    checkpoint.save(tmp_path, module, {})
    assert torch.equal(output(checkpoint.load(tmp_path)), output(module))


def test_of_a_training_run_the_average_is_the_model(tmp_path):
    module = MODULES["prior"]()
    state = FitState.create(module, FitConfig())
    contracts.jiggle(module)
    checkpoint.save(tmp_path, module, {}, state)
    loaded = dict(checkpoint.load(tmp_path).named_parameters())
    assert all(torch.equal(loaded[n], v) for n, v in state.average.items())
    assert {p.name for p in tmp_path.iterdir()} == {
        "config.json", "provenance.json", "model.safetensors", "training.json", "training.safetensors",
    }  # fmt: skip


def edit(path, *keys, to):
    """Change one value of a JSON file."""
    values = json.loads(path.read_text())
    inner = values
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = to
    path.write_text(json.dumps(values))


def truncated(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def flipped_bit(folder):
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def without_seals(folder):
    path = folder / "model.safetensors"
    save_file(load_file(path), path)


def other_tensors(folder):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors.popitem()
    save_file(tensors, path)


TAMPERINGS = {
    "wider network": lambda f: edit(f / "config.json", "config", "backbone", "width", to=16),
    "sources in another order": lambda f: edit(f / "config.json", "config", "sources", to=["drums", "bass"]),
    "a setting without trace in the weights": lambda f: edit(
        f / "config.json", "config", "posterior", "log_std_min", to=-6.0
    ),
    "another sample rate": lambda f: edit(f / "config.json", "config", "sample_rate", to=44_100),
    "unknown type": lambda f: edit(f / "config.json", "config", "backbone", "type", to="RocketConfig"),
    "unknown field": lambda f: edit(f / "config.json", "config", "rockets", to=3),
    "unknown kind": lambda f: edit(f / "config.json", "kind", to="rocket"),
    "newer format": lambda f: edit(f / "config.json", "format", to=2),
    "no config": lambda f: (f / "config.json").unlink(),
    "config is a list": lambda f: (f / "config.json").write_text("[1]"),
    "config is no JSON": lambda f: (f / "config.json").write_text("{"),
    "config is no text": lambda f: (f / "config.json").write_bytes(b"\xff\xfe\x00"),
    "no weights": lambda f: (f / "model.safetensors").unlink(),
    "truncated weights": truncated,
    "one bit of one weight": flipped_bit,
    "no seals on the weights": without_seals,
    "empty weights": lambda f: (f / "model.safetensors").write_bytes(b""),
    "weights of a pickle": lambda f: torch.save({"a": torch.ones(1)}, f / "model.safetensors"),
    "other tensors": other_tensors,
    "no folder": shutil.rmtree,
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_is_refused_in_words(name, tmp_path):
    checkpoint.save(tmp_path / "model", MODULES["separator"](), {})
    TAMPERINGS[name](tmp_path / "model")
    with pytest.raises(UserError, match=str(tmp_path / "model")):
        checkpoint.load(tmp_path / "model")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "rocket"}, "kind 'rocket'"),
        ({"format": 2}, "format 2"),
        ({"config": {"type": "RocketConfig"}}, "FlowConfig"),
        ({"config": {"type": "FlowConfig", "rockets": 3}}, "rockets"),
    ],
)
def test_descriptions_that_this_version_does_not_know_are_refused_in_words(change, message):
    with pytest.raises(UserError, match=message):
        checkpoint.build(checkpoint.describe(MODULES["prior"]()) | change)


def test_describe_and_build_are_inverse(module):
    again = checkpoint.build(json.loads(json.dumps(checkpoint.describe(module))))
    assert checkpoint.describe(again) == checkpoint.describe(module)


@pytest.mark.parametrize("file", ["training.safetensors", "training.json", "model.safetensors"])
def test_a_damaged_training_state_is_refused(file, tmp_path):
    module = MODULES["prior"]()
    state = FitState.create(module, FitConfig())
    checkpoint.save(tmp_path, module, {}, state)
    (tmp_path / file).write_bytes((tmp_path / file).read_bytes()[:20])
    with pytest.raises(UserError, match=file):
        checkpoint.load_training(tmp_path, state)


def test_complete_checkpoints_of_a_kind_the_newest_first(tmp_path):
    assert list(checkpoint.newest_first(tmp_path, "prior")) == []
    for name in ("old", "new", "broken"):
        checkpoint.save(tmp_path / "models" / "run" / name, MODULES["prior"](), {})
    checkpoint.save(tmp_path / "models" / "separator", MODULES["separator"](), {})
    for age, name in enumerate(("old", "new")):  # a copy has other times
        os.utime(tmp_path / "models" / "run" / name / "provenance.json", (1e9 - age, 1e9 - age))
    (tmp_path / "models" / "run" / "broken" / "model.safetensors").unlink()
    priors = [str(tmp_path / "models" / "run" / name) for name in ("new", "old")]
    assert list(checkpoint.newest_first(tmp_path, "prior")) == priors
    assert list(checkpoint.newest_first(tmp_path, "separator")) == [str(tmp_path / "models" / "separator")]
