"""A training's state in few bytes, to carry it from one machine to another: five per parameter.

The moving average is in bf16. The weights are told by what they differ from it, in eight bits, and so are
Adam's moments: the root of the second, and the first relative to that root, which lies between -2.4 and 2.4.

    python -m gpu.parcel pack CHECKPOINT PARCEL     a checkpoint with its training.*, or a finished model
    python -m gpu.parcel unpack PARCEL CHECKPOINT   for --start, --model, or to look at
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from vsep_ray import checkpoint
from vsep_ray.training import FitConfig, FitState

LARGEST = 15_000_000
"""Bytes of a file, its header left out."""
ABOUT = "parcel.json"


def tensors_of(state):
    """Returns what `restore` needs: name -> tensor."""
    found = {}
    for index, (name, weight) in enumerate(state.module.named_parameters()):
        average = state.average.get(name, weight.detach()).to(torch.bfloat16)
        found[f"average/{name}"] = average
        found |= _eight_bits(f"change/{name}", weight.detach() - average.float(), torch.float8_e4m3fn)
        if moments := state.optimizer.state.get(weight):
            root = moments["exp_avg_sq"].sqrt()
            ratio = moments["exp_avg"] / root.clamp_min(torch.finfo(root.dtype).tiny)
            found |= _eight_bits(f"root/{name}", root, torch.float8_e5m2)  # it spans many powers of two
            found |= {f"ratio/{name}": ratio.to(torch.float8_e4m3fn), f"steps/{index}": moments["step"]}
    return {name: tensor.cpu().contiguous() for name, tensor in found.items()}


def restore(tensors, state):
    """Puts weights, average and moments into a fresh state, in place."""
    moments = {}
    for index, (name, weight) in enumerate(state.module.named_parameters()):
        average = tensors[f"average/{name}"].float()
        weight.data.copy_(average + _exact(tensors, f"change/{name}"))
        for averages in (state.average, state.slow):  # the slow one would be two bytes more
            if averages:
                averages[name].copy_(average)
        if f"root/{name}" in tensors:
            root = _exact(tensors, f"root/{name}")  # 0 for what is too small: so is the first moment then
            first = root * tensors[f"ratio/{name}"].float()
            moments[index] = {"step": tensors[f"steps/{index}"], "exp_avg": first, "exp_avg_sq": root**2}
    groups = state.optimizer.state_dict()["param_groups"]
    state.optimizer.load_state_dict({"state": moments, "param_groups": groups})


def write(folder, state, provenance):
    """Writes a parcel; one that is there is replaced when the new one is complete."""
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for number, tensors in enumerate(_shares(tensors_of(state))):
        save_file(tensors, part / f"parcel-{number}.safetensors")
    counts = {name: getattr(state, name) for name in ("step", "skipped", "seconds")}
    about = {"model": checkpoint.describe(state.module), "counts": counts, "provenance": provenance}
    (part / ABOUT).write_text(json.dumps(about, indent=1))
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


def read(folder, config, state=None):
    """Returns the state of a parcel, and its provenance.

    Args:
        folder: the parcel.
        config: the settings of the training that goes on.
        state: a fresh one of such a model, which is changed in place; None: one on the CPU is made.
    """
    about = json.loads((folder / ABOUT).read_text())
    state = state or FitState.create(checkpoint.build(about["model"]), config)
    assert checkpoint.describe(state.module) == about["model"], f"{folder} holds another model"
    files = sorted(folder.glob("*.safetensors"))
    restore({name: tensor for file in files for name, tensor in load_file(file).items()}, state)
    for name, value in about["counts"].items():
        setattr(state, name, value)
    return state, about["provenance"]


def pack(source, target):
    """Makes a parcel of a checkpoint."""
    state = FitState.create(checkpoint.load_separator(source), FitConfig())
    if (source / "training.json").exists():
        checkpoint.load_training(source, state)
    write(target, state, checkpoint.read_provenance(source))


def unpack(source, target):
    """Makes a checkpoint of a parcel."""
    state, provenance = read(source, FitConfig())
    checkpoint.save(target, state.module, provenance | {"step": state.step}, state)


def _eight_bits(name, tensor, kind):
    scale = (tensor.abs().max() / torch.finfo(kind).max).clamp_min(1e-30)
    return {name: (tensor / scale).to(kind), f"scale/{name}": scale}


def _exact(tensors, name):
    return tensors[name].float() * tensors[f"scale/{name}"]


def _shares(tensors):
    """Yields the tensors in shares that fit into a file each."""
    share, size = {}, 0
    for name, tensor in tensors.items():
        if share and size + tensor.nbytes > LARGEST:
            yield share
            share, size = {}, 0
        share[name], size = tensor, size + tensor.nbytes
    yield share


if __name__ == "__main__":
    {"pack": pack, "unpack": unpack}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
