"""The MLflow client, made with short time-outs, and the experiment it logs to."""

import functools
import logging
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

ENVIRONMENT = {  # with MLflow's own values one call to a server that is away takes four minutes
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "3",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
SQLITE = "sqlite:///"
KIND = {"mlflow.experimentKind": "custom_model_development"}
"""To MLflow's pages an experiment with this tag is one of trainings, without it they guess. (Version 3.17
opens all of them in the view of chats, until somebody has chosen "Model training" once.)"""
IMPORTING = threading.RLock()
"""This lock is held while MLflow is imported. Its modules import each other in circles, and two threads that
import different ones at a time find some half made."""


@functools.cache
def client(tracking_uri: str) -> "MlflowClient":
    """Returns the client of one tracking store, with short time-outs unless the user's environment sets
    others.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with IMPORTING:
        import mlflow

    logging.getLogger("alembic").setLevel(logging.WARNING)
    if tracking_uri.startswith(SQLITE):
        database(tracking_uri).parent.mkdir(parents=True, exist_ok=True)
    return mlflow.MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


def database(tracking_uri: str) -> Path:
    """Returns the file of a ``sqlite:///`` tracking URI."""
    return Path(tracking_uri.removeprefix(SQLITE))


def experiment_id(tracking_uri: str, name: str) -> str:
    """Returns the id of an experiment, made where it is missing; a sqlite store keeps artefacts beside it."""
    from mlflow.exceptions import MlflowException

    api = client(tracking_uri)
    found = api.get_experiment_by_name(name)
    if found is not None:
        if KIND.keys() - found.tags.keys():  # from before we said so
            api.set_experiment_tag(found.experiment_id, *next(iter(KIND.items())))
        return found.experiment_id
    location = None
    if tracking_uri.startswith(SQLITE):
        folder = database(tracking_uri).resolve().parent / "artifacts" / name.replace("/", "-")
        location = folder.as_uri()
    try:
        return api.create_experiment(name, artifact_location=location, tags=KIND)
    except MlflowException:  # another process was faster
        found = api.get_experiment_by_name(name)
        if found is None:
            raise
        return found.experiment_id
