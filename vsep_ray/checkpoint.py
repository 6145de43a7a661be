"""A model on disk: config.json, model.safetensors, provenance.json; training.* too for an unfinished run.

Nothing is ever unpickled.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vsep_ray import storage
from vsep_ray.config import UserError, fingerprint, from_dict, to_dict
from vsep_ray.joint import Joint
from vsep_ray.priors import Prior, PriorConfig
from vsep_ray.separators import Separator, SeparatorConfig
from vsep_ray.training import FitState

FORMAT = 1
FILES = ("config.json", "model.safetensors", "provenance.json")
"""A finished model has these files; the last one, which is written last, says that it is complete."""


def save(
    directory: str | Path,
    module: Prior | Separator,
    provenance: Mapping[str, Any],
    state: FitState | None = None,
    chosen: int = 0,
) -> None:
    """Writes a checkpoint directory; with ``state`` it has a moving average, the one that is ``chosen`` of
    several, and the run can go on.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    description = describe(module)
    (directory / "config.json").write_text(json.dumps(description, indent=2))
    (directory / "provenance.json").write_text(
        json.dumps(storage.finished_now() | dict(provenance), indent=2)
    )
    weights = state.averaged()[chosen] if state else module.state_dict()
    seals = {"config": fingerprint(description), "weights": _digest(weights)}
    _save_tensors(directory / "model.safetensors", weights, seals)
    if state:
        _save_training(directory, state)


def publish(directory: str | Path, target: str, **made: Any) -> None:
    """Copies a finished model, file by file in the order of `FILES`; its provenance has ``made`` too."""
    for name in FILES[:-1]:
        storage.upload(Path(directory, name), storage.join(target, name))
    provenance = _read_json(Path(directory, FILES[-1])) | made | storage.finished_now()
    storage.write_bytes(storage.join(target, FILES[-1]), json.dumps(provenance, indent=2).encode())


def is_complete(uri: str | Path) -> bool:
    """Returns whether all files of a finished model are there."""
    return all(storage.exists(storage.join(str(uri), name)) for name in FILES)


def identity(uri: str) -> str:
    """Returns a hash of what a model computes: its config and weights, whatever its name and place are."""
    files = (storage.read_bytes(storage.join(uri, name)) for name in FILES[:2])
    return hashlib.sha256(b"".join(hashlib.sha256(content).digest() for content in files)).hexdigest()


def local(uri: str | Path) -> Path:
    """Returns a checkpoint's local directory: itself, or a copy of one in a bucket, made once per version.

    Raises:
        UserError: it cannot be copied.
    """
    uri = str(uri)
    if not storage.is_remote(uri):
        return storage.local_path(uri)
    try:
        version = fingerprint([uri, storage.stamps([storage.join(uri, name) for name in FILES])])
        target = storage.temporary_root() / "checkpoints" / version
        if target.is_dir() and not is_complete(target):  # a system clears its temporary folder file by file
            shutil.rmtree(target, ignore_errors=True)
        return storage.fill(target, lambda scratch: _copied(uri, scratch / "copy"))
    except OSError as error:
        raise UserError(f"checkpoint {uri} cannot be read: {error}") from error


def load(directory: str | Path) -> Prior | Separator:
    """Returns the module of a checkpoint directory, in eval mode on the CPU.

    The weights carry the fingerprint of their config.json, since most fields (such as the noise range) leave
    no trace in the shapes of tensors, and a hash of themselves.

    Raises:
        UserError: files are missing, were tampered with, or do not fit together.
    """
    directory = local(directory)
    description = _read_json(directory / "config.json")
    weights, metadata = _load_tensors(directory / "model.safetensors")
    if metadata.get("config") != fingerprint(description):
        raise UserError(f"{directory}/model.safetensors was not saved with this config.json; restore both")
    if "weights" not in metadata:
        raise UserError(f"{directory}/model.safetensors has no hash of its weights; save it again")
    if metadata["weights"] != _digest(weights):
        raise UserError(f"{directory}/model.safetensors was changed since it was saved; restore it")
    module = build(description)
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(f"{directory}/model.safetensors does not fit its config.json: {error}") from error
    return module.eval()


def load_prior(directory: str | Path) -> Prior:
    """Returns what `load` does, a prior.

    Raises:
        UserError: `load` refuses the checkpoint, or it is a separator's.
    """
    module = load(directory)
    if not isinstance(module, Prior):
        raise UserError(f"{directory} is a separator; expected a prior, as train_priors.py makes one")
    return module


def load_separator(directory: str | Path) -> Separator:
    """Returns what `load` does, a separator.

    Raises:
        UserError: `load` refuses the checkpoint, or it is a prior's.
    """
    module = load(directory)
    if not isinstance(module, Separator):
        raise UserError(f"{directory} is a prior; expected a separator, as train_separator.py makes one")
    return module


def load_joint(priors: Mapping[str, str], separator: Separator) -> Joint:
    """Returns the frozen priors in a separator's order of sources, and its mixing.

    Args:
        priors: source -> checkpoint directory.
        separator: whose sources and mixing are meant.

    Raises:
        UserError: a checkpoint is not that of a prior.
    """
    return Joint({s: load_prior(priors[s]) for s in separator.sources}, separator.mixing)


def load_training(directory: str | Path, state: FitState) -> None:
    """Puts weights, moving average, optimiser and step of a checkpoint into a fresh ``state``, in place.

    Raises:
        UserError: files are missing or damaged.
    """
    directory = Path(directory)
    meta = _read_json(directory / "training.json")
    tensors, _ = _load_tensors(directory / "training.safetensors")
    averages = _under(tensors, "average.") or _load_tensors(directory / "model.safetensors")[0]
    state.module.load_state_dict(_under(tensors, "module."))
    if state.memory is not None:
        state.memory.load_state_dict(_under(tensors, "memory."))
    state.average = {n: averages[n].to(v) for n, v in state.average.items()}
    state.slow = {n: tensors[f"slow.{n}"].to(v) for n, v in state.slow.items()}
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in _under(tensors, "optimizer.").items():
        index, _, name = key.partition(".")
        moments.setdefault(int(index), {})[name] = value
    state.optimizer.load_state_dict({"state": moments, "param_groups": meta["param_groups"]})
    state.step, state.skipped, state.seconds = meta["step"], meta["skipped"], meta["seconds"]


def read_provenance(directory: str | Path) -> dict[str, Any]:
    """Returns where a checkpoint comes from: git revision, data fingerprint, regime, run id, source."""
    return _read_json(local(directory) / "provenance.json")


def describe(module: Prior | Separator) -> dict[str, Any]:
    """Returns what rebuilds the module, as JSON-ready values; the inverse of `build`."""
    if isinstance(module, Separator):
        return {"format": FORMAT, "kind": "separator", "config": to_dict(module.config)}
    rate = {"sample_rate": module.sample_rate, "channels": module.channels}
    return {"format": FORMAT, "kind": "prior", **rate, "config": to_dict(module.config)}


def build(description: Mapping[str, Any]) -> Prior | Separator:
    """Returns an untrained module from its description.

    Raises:
        UserError: an unknown kind, format or config.
    """
    kind, version = description.get("kind"), description.get("format")
    if version != FORMAT or kind not in ("prior", "separator"):
        raise UserError(
            f"expected a prior or separator of format {FORMAT}, got kind {kind!r}, format {version}"
        )
    if kind == "separator":
        return Separator(from_dict(SeparatorConfig, description["config"]))
    config = from_dict(PriorConfig, description["config"])
    return config.build(description["sample_rate"], description["channels"])


def newest_first(root: str | Path, kind: str) -> Iterator[str]:
    """Yields the finished checkpoint directories of a kind below ``<root>/models``."""
    models = storage.join(str(root), "models")
    for name in storage.newest_first(models, FILES[-1]):
        directory = storage.parent(storage.join(models, name))
        config = storage.join(directory, "config.json")
        if is_complete(directory) and json.loads(storage.read_bytes(config)).get("kind") == kind:
            yield directory


def _copied(uri: str, target: Path) -> Path:
    for name in FILES:
        storage.download(storage.join(uri, name), target / name)
    return target


def _save_training(directory: Path, state: FitState) -> None:
    tensors = {f"module.{n}": v for n, v in state.module.state_dict().items()}
    if state.memory is not None:
        tensors |= {f"memory.{n}": v for n, v in state.memory.state_dict().items()}
    if state.slow:  # else the model beside it is the average
        tensors |= {f"average.{n}": v for n, v in state.average.items()}
        tensors |= {f"slow.{n}": v for n, v in state.slow.items()}
    optimizer = state.optimizer.state_dict()
    for index, moments in optimizer["state"].items():
        tensors |= {f"optimizer.{index}.{n}": torch.as_tensor(v) for n, v in moments.items()}
    _save_tensors(directory / "training.safetensors", tensors)
    meta = {name: getattr(state, name) for name in ("step", "skipped", "seconds")}
    meta |= {"param_groups": optimizer["param_groups"]}
    (directory / "training.json").write_text(json.dumps(meta))


def _save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    part = path.with_suffix(".part")
    save_file({n: v.detach().cpu().contiguous().clone() for n, v in tensors.items()}, part, metadata)
    os.replace(part, path)


def _load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} cannot be read as part of a checkpoint: {error}") from error


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """Returns a hash of names, types, shapes and values."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
        digest.update(values.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as part of a checkpoint: {error}") from error
