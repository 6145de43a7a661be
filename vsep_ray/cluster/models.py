"""Which separator a job means, and the frozen priors that go with it."""

from collections.abc import Mapping
from pathlib import Path

from vsep_ray import checkpoint
from vsep_ray.config import UserError
from vsep_ray.data import storage
from vsep_ray.joint import Joint
from vsep_ray.priors import Prior
from vsep_ray.separators import Separator
from vsep_ray.tracking import exact_model, resolve_model

CACHE = "models_cache"
"""Folder of the storage, or of the home where that is in a bucket, for models from elsewhere."""


def find_separator(model: str, root: str, tracking_uri: str) -> tuple[str, str, Separator]:
    """The exact URI of the separator ``model`` ("": the latest below ``root``), its checkpoint directory on
    this node, and the module.

    Raises:
        UserError: there is none, or it is a prior.
    """
    uri = exact_model(model, tracking_uri) if model else _latest(root)
    cache = Path("~/.vsep_ray").expanduser() if storage.is_remote(root) else Path(root)
    directory = resolve_model(uri, tracking_uri, cache / CACHE).absolute()
    module = checkpoint.load(directory)
    if not isinstance(module, Separator):
        raise UserError(f"model {uri} is a prior; expected a separator, as train_separator.py makes one")
    return uri, str(directory), module


def shared(uri: str, directory: str, root: str) -> str:
    """The checkpoint directory where every node finds it: the URI in a bucket, else below the storage
    ``root``, to which one from elsewhere is copied."""
    if storage.is_remote(uri):
        return uri
    if not storage.is_remote(root) and Path(directory).is_relative_to(storage.local_path(root)):
        return directory
    target = storage.join(root, CACHE, checkpoint.identity(directory)[:16])
    if not checkpoint.is_complete(target):
        checkpoint.publish(directory, target)
    return target


def load_joint(priors: Mapping[str, str], separator: Separator) -> Joint:
    """The frozen priors, source -> checkpoint directory, in the separator's order of sources.

    Raises:
        UserError: a checkpoint is not that of a prior.
    """
    return Joint({s: load_prior(priors[s], s) for s in separator.sources}, separator.mixing)


def load_prior(directory: str, source: str) -> Prior:
    """The prior of a checkpoint directory, in eval mode on the CPU.

    Raises:
        UserError: the checkpoint is not that of a prior.
    """
    module = checkpoint.load(directory)
    if not isinstance(module, Prior):
        raise UserError(f"{directory} is a separator; expected the prior of {source}")
    return module


def _latest(root: str) -> str:
    found = checkpoint.latest(root, "separator")
    if found is None:
        raise UserError(f"no separator below {root}; train one with jobs/train_separator.py, or pass --model")
    return found
