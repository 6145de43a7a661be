"""Every job opens its MLflow run here, so that all runs carry the same tags and can hang below a parent."""

import functools
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vsep_ray import storage
from vsep_ray.config import to_dict
from vsep_ray.presets import JobConfig
from vsep_ray.tracking import Tracker


def start_run(
    config: JobConfig,
    kind: str,
    name: str,
    *,
    parent: str = "",
    run_id: str = "",
    tags: Mapping[str, Any] = {},
    params: Any = None,
) -> Tracker:
    """Starts a run in experiment ``vsep/<kind>``, or that of ``--experiment``, below ``parent`` or
    ``--parent-run``.

    Args:
        config: the job's; it is logged as parameters where ``params`` is None.
        kind: priors, separator, sweeps, evaluation, catalog or quickstart.
        name: the run's name.
        parent: the id of the run above.
        run_id: the id of the run to continue; "" starts a new one.
        tags: further tags beside git revision and kind.
        params: a config or mapping in place of the job's config.
    """
    return Tracker.start(
        config.tracking_uri,
        experiment=config.experiment or f"vsep/{kind}",
        run_name=name,
        spool=spool(config.storage),
        parent_run_id=parent or config.parent_run or None,
        run_id=run_id or None,
        tags={"kind": kind, "git": git_revision(), **tags},
        params=to_dict(config if params is None else params),
    )


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
