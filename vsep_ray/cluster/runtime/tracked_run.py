"""Every job opens its MLflow run here, so that all runs carry the same tags and can hang below a parent."""

import functools
import getpass
import json
import logging
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from vsep_ray import storage
from vsep_ray.config import FORMAT, to_dict
from vsep_ray.presets import JobConfig
from vsep_ray.tracking import Tracker

log = logging.getLogger(__name__)
NOTES = "mlflow_runs"
"""In this folder of the storage lie the ids of the MLflow runs that the same commands go on with."""


def start_run(
    config: JobConfig,
    kind: str,
    title: str,
    *,
    name: str = "",
    dated: bool = True,
    parent: str = "",
    tags: Mapping[str, Any] = {},
    params: Any = None,
) -> Tracker:
    """Starts a run in experiment ``vsep/<kind>``, or that of ``--experiment``, below ``parent`` or
    ``--parent-run``. The config is its artefact ``config.json``, which ``--config`` reads.

    Args:
        config: the job's; it is logged as parameters where ``params`` is None.
        kind: priors, separator, sweeps, evaluation, catalog or quickstart.
        title: what people read in MLflow.
        dated: the date follows the title.
        name: where it has one, the run that began under this name in this storage goes on (`forget_run`).
        parent: the id of the run above.
        tags: further tags beside those that all runs have.
        params: a config or mapping in place of the job's config.
    """
    run_id = noted_run(config.storage, name) if name else ""
    if run_id:
        log.info("%s goes on where the same command left it, as run %s", title, run_id)
    tracker = Tracker.start(
        config.tracking_uri,
        experiment=config.experiment or f"vsep/{kind}",
        run_name=f"{title}, {date.today():%Y-%m-%d}" if dated else title,
        spool=spool(config.storage),
        parent_run_id=parent or config.parent_run or None,
        run_id=run_id or None,
        tags={"kind": kind, "name": name, "git": git_revision(), **_origin(config), **tags},
        params={} if run_id else to_dict(config if params is None else params),  # MLflow lets none change
    )
    if name:
        storage.write_bytes(_note(config.storage, name), tracker.run_id.encode())
    job = script(config)
    tracker.text(json.dumps({"format": FORMAT, job: to_dict(config)}, indent=1), "config.json")
    return tracker


def noted_run(storage_uri: str, name: str) -> str:
    """Returns the id of the run that began under a name in a storage, or ""."""
    note = _note(storage_uri, name)
    return storage.read_bytes(note).decode() if storage.exists(note) else ""


def forget_run(storage_uri: str, name: str) -> None:
    """Makes the next run of a name, and of names that begin with it, a new one."""
    folder = storage.join(storage_uri, NOTES)
    for found in (n for n in storage.list_files(folder) if n.startswith(name)):
        storage.delete(storage.join(folder, found))


def describe(config: JobConfig, run_id: str, lines: Sequence[str]) -> None:
    """Writes the description of a run that has ended: the command, and some lines."""
    words = [f"`python jobs/{Path(sys.argv[0]).name} {shlex.join(sys.argv[1:])}`", *lines]
    tracker = Tracker.attach(config.tracking_uri, run_id=run_id, spool=spool(config.storage))
    tracker.tags({"mlflow.note.content": "\n\n".join(words)})
    tracker.finish()


def script(config: JobConfig) -> str:
    """Returns the name of the job that has such a config.

    Example:
        >>> script(JobConfig())
        'job'
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(config).__name__.removesuffix("Config")).lower()


def _note(storage_uri: str, name: str) -> str:
    """Returns the URI of the file with the id of the MLflow run of a name."""
    return storage.join(storage_uri, NOTES, name)


def _origin(config: JobConfig) -> dict[str, str]:
    """Returns the tags that MLflow itself shows: which script, whose, of which commit."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have a number alone
        user = str(os.getuid())
    tags = {"mlflow.source.name": f"jobs/{script(config)}.py", "mlflow.source.type": "JOB"}
    return {**tags, "mlflow.source.git.commit": git_revision(), "mlflow.user": user}


def spool(storage_uri: str) -> Path:
    """Returns this node's folder for what the tracking server has not got yet: below a local storage, else in
    the temporary folder."""
    root = Path(tempfile.gettempdir(), "vsep_ray") if storage.is_remote(storage_uri) else Path(storage_uri)
    return root / "spool"


@functools.cache
def git_revision() -> str:
    """Returns the git revision of the code, or "unknown" where it is not a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:  # no git on this machine
        return "unknown"
    return done.stdout.strip() or "unknown"
