"""Registered models: what lets MLflow load them, and how their URIs become directories on the local disk."""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from vsep_ray import checkpoint, storage
from vsep_ray.config import UserError, fingerprint
from vsep_ray.tracking.client import IMPORTING, client

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

LOADER = "vsep_ray.pyfunc"

FORMS = "a checkpoint directory, runs:/<run id>/<path>, models:/<name>/<version> or models:/<name>@<alias>"


def resolve_model(uri: str, tracking_uri: str, cache: Path | str) -> Path:
    """Returns the directory of a model: a local one as it is, any other from a cache, into which it is
    downloaded once. Others are one in a bucket, ``runs:/`` and ``models:/``.

    An alias and ``latest`` are looked up each time, so that a moved alias is followed.

    Raises:
        UserError: there is no such directory, run, model, version or alias, or the store cannot be reached.
    """
    if uri.startswith(("runs:/", "models:/")):
        with _named_errors(uri, tracking_uri):
            exact = _exact(uri, tracking_uri)
            target = Path(cache, fingerprint(tracking_uri), exact.replace(":/", "/", 1))
            # into a scratch folder first: several workers may ask at once, and half a download must not count
            return storage.fill(target, lambda scratch: _download(exact, tracking_uri, scratch))
    if not storage.is_directory(uri):
        raise UserError(f"expected {FORMS}; there is no directory {storage.absolute(uri)}")
    return checkpoint.local(uri)


def exact_model(uri: str, tracking_uri: str) -> str:
    """Returns a model's URI with alias or ``latest`` replaced by the version that they mean now.

    Raises:
        UserError: there is no such model, version or alias, or the store cannot be reached.
    """
    if not uri.startswith("models:/"):
        return uri
    with _named_errors(uri, tracking_uri):
        return _exact(uri, tracking_uri)


def mlmodel(directory: Path, name: str) -> str:
    """Returns the text of the ``MLmodel`` file that lets MLflow load a checkpoint directory as a pyfunc: the
    loader, and the shapes of what goes in and out.

    Raises:
        OSError: the directory is no checkpoint.
    """
    kind = json.loads((directory / "config.json").read_text())["kind"]
    with IMPORTING:
        from mlflow import pyfunc
        from mlflow.models import Model

        model = Model(artifact_path=name, signature=_signature(kind))
        pyfunc.add_to_model(model, loader_module=LOADER)
        return model.to_yaml()


def _signature(kind: str) -> "ModelSignature":
    """Returns the shapes of a separator, (C, T) -> (J, C, T), or of a prior, (B, C, T) -> (B,)."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ParamSchema, ParamSpec, Schema, TensorSpec

    def floats(dimensions: int) -> Schema:
        return Schema([TensorSpec(np.dtype(np.float32), (-1,) * dimensions)])

    if kind == "separator":
        asked = [ParamSpec("sample_rate", "long", 0), ParamSpec("sources", "string", "")]
        return ModelSignature(floats(2), floats(3), ParamSchema(asked))
    return ModelSignature(floats(3), floats(1), ParamSchema([ParamSpec("noise_std", "double", 0.0)]))


@contextlib.contextmanager
def _named_errors(uri: str, tracking_uri: str) -> Iterator[None]:
    """Turns what MLflow and the network raise inside the block into a `UserError` that names the model."""
    client(tracking_uri)  # sets the time-outs before MLflow is imported
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        raise UserError(f"model {uri} was not found in the tracking store {tracking_uri}: {error}") from error


def _exact(uri: str, tracking_uri: str) -> str:
    """Returns the URI with alias or ``latest`` replaced by the version they mean now."""
    if re.fullmatch(r"runs:/\w+(/[^/]+)+", uri) and ".." not in uri.split("/"):
        return uri
    match = re.fullmatch(r"models:/([^/@]+)(?:@([^/]+)|/(\d+|latest))", uri)
    if not match:
        raise UserError(f"expected a model as {FORMS}; got {uri}")
    name, alias, version = match.groups()
    if alias:
        version = client(tracking_uri).get_model_version_by_alias(name, alias).version
    if version == "latest":
        versions = client(tracking_uri).search_model_versions(f"name = '{name}'")
        version = max((int(v.version) for v in versions), default=0)
    return f"models:/{name}/{version}"


def _download(uri: str, tracking_uri: str, scratch: Path) -> Path:
    from mlflow.artifacts import download_artifacts

    if uri.startswith("models:/"):  # by its own location: MLflow looks models:/ up in its global registry
        uri = client(tracking_uri).get_model_version_download_uri(*uri.removeprefix("models:/").split("/"))
    found = Path(download_artifacts(uri, dst_path=str(scratch), tracking_uri=tracking_uri))
    if not found.is_dir():
        raise FileNotFoundError(f"{uri} is a file, not a directory")
    return found
