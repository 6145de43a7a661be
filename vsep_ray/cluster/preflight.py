"""What must hold of a cluster before a job works on it for hours; a refusal comes with its cure."""

import logging
import shutil
import urllib.request
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from vsep_ray.config import UserError
from vsep_ray.data import storage

log = logging.getLogger(__name__)
HTTP_SECONDS = 3.0
NODE_SECONDS = 120.0


@dataclass(frozen=True)
class Check:
    """One line of the table: ``failed`` stops the job, ``warning`` does not.

    Attributes:
        name: what was looked at.
        status: the verdict.
        detail: what was found, and the cure.
    """

    name: str
    status: Literal["ok", "warning", "failed"]
    detail: str


def require(storage_uri: str, tracking_uri: str, *, ffmpeg: bool = False) -> list[Check]:
    """Run `checks`, log the table, and refuse where one failed.

    Raises:
        UserError: the failed checks, with their cures.
    """
    table = checks(storage_uri, tracking_uri, ffmpeg=ffmpeg)
    for check in table:
        log.log(logging.INFO if check.status == "ok" else logging.WARNING, "%s: %s", check.name, check.detail)
    failed = [f"{c.name}: {c.detail}" for c in table if c.status == "failed"]
    if failed:
        raise UserError("; ".join(failed))
    return table


def checks(storage_uri: str, tracking_uri: str, *, ffmpeg: bool = False) -> list[Check]:
    """The table for the cluster that Ray is connected to.

    Args:
        storage_uri: folder or URI that every node must see.
        tracking_uri: of MLflow.
        ffmpeg: whether the job needs ffmpeg and ffprobe on every node.
    """
    nodes = sorted(n["NodeID"] for n in ray.nodes() if n["Alive"])
    table = [_storage(storage_uri, nodes), _tracking(tracking_uri, len(nodes))]
    return [*table, _ffmpeg(nodes)] if ffmpeg else table


def _storage(uri: str, nodes: Sequence[str]) -> Check:
    probe = storage.join(uri, f".preflight-{uuid.uuid4().hex}")
    try:
        storage.write_bytes(probe, b"seen")
    except OSError as error:
        return Check(
            "storage", "failed", f"cannot write to {uri} ({error}); pass another folder by --storage"
        )
    try:
        blind = _nodes_where_not(storage.exists, probe, nodes)
    finally:
        storage.delete(probe)
    if blind:
        where = f"{len(blind)} of {len(nodes)} nodes ({', '.join(blind)})"
        cure = "pass a folder that all nodes mount, or s3:// or gs://, by --storage"
        return Check("storage", "failed", f"{uri} is not seen by {where}; {cure}")
    return Check("storage", "ok", f"{uri} is writable and seen by {len(nodes)} node(s)")


def _tracking(uri: str, num_nodes: int) -> Check:
    if uri.startswith("sqlite:"):
        if num_nodes > 1:
            cure = "start `mlflow server` on the head and pass --tracking-uri http://<head>:5000"
            return Check("tracking", "failed", f"{uri} serves one node, the cluster has {num_nodes}; {cure}")
        return Check("tracking", "ok", f"{uri} on one node")
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=HTTP_SECONDS):
            return Check("tracking", "ok", f"{uri} answers")
    except (OSError, ValueError) as error:
        return Check(
            "tracking", "warning", f"{uri} does not answer ({error}); the job goes on and sends later"
        )


def _ffmpeg(nodes: Sequence[str]) -> Check:
    lacking = _nodes_where_not(_has_ffmpeg, "", nodes)
    if lacking:
        where = ", ".join(lacking)
        return Check(
            "ffmpeg", "failed", f"no ffmpeg and ffprobe on {where}; install them: apt-get install ffmpeg"
        )
    return Check("ffmpeg", "ok", f"on {len(nodes)} node(s)")


def _has_ffmpeg(_: str) -> bool:
    return shutil.which("ffmpeg") is not None and shutil.which("ffprobe") is not None


def _nodes_where_not(holds: Callable[[str], bool], argument: str, nodes: Sequence[str]) -> list[str]:
    """Addresses of the nodes on which ``holds(argument)`` is False, or which do not answer in two minutes."""
    if len(nodes) == 1:  # this one: no task, which would take seconds to start a worker
        return [] if holds(argument) else [ray.util.get_node_ip_address()]
    task: Any = ray.remote(num_cpus=0)(holds)
    pin = (NodeAffinitySchedulingStrategy(node, soft=False) for node in nodes)
    asked = {task.options(scheduling_strategy=p).remote(argument): n for p, n in zip(pin, nodes, strict=True)}
    answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=NODE_SECONDS)
    good = {asked[a] for a in answered if ray.get(a)}
    return [n["NodeManagerAddress"] for n in ray.nodes() if n["NodeID"] in nodes and n["NodeID"] not in good]
