"""A job works on a cluster for hours, so a table says first what must hold; a refusal comes with its cure."""

import logging
import os
import platform
import urllib.request
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import ray

from vsep_ray import storage
from vsep_ray.cluster.runtime.at_once import inputs
from vsep_ray.cluster.runtime.nodes import ABSENT, NODE_SECONDS, PACKAGES, Node, installed, look_everywhere
from vsep_ray.cluster.runtime.ray_private import is_started_here
from vsep_ray.config import UserError
from vsep_ray.presets import JobConfig
from vsep_ray.tracking import exact_model

log = logging.getLogger(__name__)
HTTP_SECONDS = 3.0


@dataclass(frozen=True)
class Needs:
    """A job needs this of the cluster that it runs in.

    Attributes:
        tracking_uri: where MLflow is.
        folders: all nodes must see them and write to them.
        cpus: logical CPUs of all nodes together, at least.
        gpus: GPUs of all nodes together, at least.
        waits: whether the job can start with less than that and use more as it comes.
        ffmpeg: whether ffmpeg and ffprobe must be on every node.
        inputs: data and models as the config names them: field -> names.
    """

    tracking_uri: str
    folders: tuple[str, ...]
    cpus: float = 1.0
    gpus: int = 0
    waits: bool = True
    ffmpeg: bool = False
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, config: JobConfig) -> "Needs":
        """Returns the needs of a job with this config."""
        values = vars(config)
        output = values.get("output", "")
        return cls(
            config.tracking_uri,
            (config.storage, *([storage.absolute(output)] if output else [])),
            **_size(values),
            ffmpeg=bool(values.get("bsseval")),
            inputs=inputs(config),
        )


def _size(values: Mapping[str, Any]) -> dict[str, Any]:
    resources = values.get("resources")
    if resources is None:
        actors = values.get("num_actors") or 1
        return {"cpus": actors, "gpus": actors if values.get("device") == "gpu" else 0}
    workers = resources.min_workers or resources.num_workers or 1
    return {
        "cpus": workers * resources.cpus_per_worker,
        "gpus": workers if resources.device == "gpu" else 0,
        "waits": False,
    }


@dataclass(frozen=True)
class Check:
    """This is one line of the table: ``failed`` stops the job, ``warning`` does not.

    Attributes:
        name: what was looked at.
        status: the verdict.
        detail: what was found, and the cure.
    """

    name: str
    status: Literal["ok", "warning", "failed"]
    detail: str


LEVELS = {"warning": logging.WARNING}
"""What is well is said only where somebody wants to hear everything."""


def require(needs: Needs) -> list[Check]:
    """Runs `checks`, logs what it finds, and refuses where one failed.

    Raises:
        UserError: the failed checks, with their cures.
    """
    table = checks(needs)
    for check in table:
        log.log(LEVELS.get(check.status, logging.DEBUG), "%s: %s", check.name, check.detail)
    if failed := [f"{c.name}: {c.detail}" for c in table if c.status == "failed"]:
        raise UserError("; ".join(failed))
    return table


def checks(needs: Needs) -> list[Check]:
    """Returns the table for the cluster that Ray is connected to."""
    ids = sorted(n["NodeID"] for n in ray.nodes() if n["Alive"])
    unwritable, probes = _leave_probes(needs.folders)
    try:
        nodes, silent = look_everywhere(ids, probes)
    finally:
        for probe in probes.values():
            storage.delete(probe)
    return [
        _cluster(len(ids), silent),
        _resources(needs),
        _versions(nodes),
        unwritable or _storage(needs.folders, nodes),
        _tracking(needs.tracking_uri, len(ids)),
        *([_ffmpeg(nodes)] if needs.ffmpeg else []),
        *([_inputs(needs)] if needs.inputs else []),
    ]


def _cluster(count: int, silent: Sequence[str]) -> Check:
    if silent:
        cure = "look at them with `ray status` and `ray logs`, or remove them from the cluster"
        return Check("ray", "failed", f"no answer in {NODE_SECONDS:.0f} s from {', '.join(silent)}; {cure}")
    mode = os.environ.get("RAY_AUTH_MODE", "disabled")
    words = f"Ray {ray.__version__}, Python {platform.python_version()}, {count} node(s), "
    if mode != "token" and count > 1:
        cure = "start the cluster with RAY_AUTH_MODE=token, or let nobody else reach it"
        return Check("ray", "warning", f"{words}no authentication: who reaches it can run code on it; {cure}")
    return Check("ray", "ok", f"{words}{'token' if mode == 'token' else 'no'} authentication")


def _resources(needs: Needs) -> Check:
    have = ray.cluster_resources()
    asked = {"CPU": needs.cpus, "GPU": float(needs.gpus)}
    found = [(k, n, have.get(k, 0.0)) for k, n in asked.items() if n or have.get(k)]
    words = ", ".join(f"{n:g} {k} asked of {there:g}" for k, n, there in found)
    if all(there >= n for _, n, there in found):
        return Check("resources", "ok", words)
    some = all(there or not n for _, n, there in found)
    if (needs.waits and some) or not is_started_here():
        return Check("resources", "warning", f"{words}: the rest is waited for; does the cluster grow?")
    less = "ask for less: --resources.num-workers, --resources.cpus-per-worker, --resources.device cpu"
    cure = "pass --device cpu or auto" if needs.waits else less
    return Check("resources", "failed", f"{words}; {cure}")


def _versions(nodes: Sequence[Node]) -> Check:
    here = installed()
    differing = [(n, p, n.versions[p]) for n in nodes for p in PACKAGES if n.versions[p] != here[p]]
    if lacking := [f"{p} on {n.address}" for n, p, version in differing if version == ABSENT]:
        return Check("packages", "failed", f"no {', '.join(lacking)}; install the same packages everywhere")
    if differing:
        names = ", ".join(f"{p} {version} on {n.address}" for n, p, version in differing)
        words = f"{names} differ from the driver's; results may differ in the last bits"
        return Check("packages", "warning", words)
    return Check("packages", "ok", ", ".join(f"{p} {v}" for p, v in here.items() if v != ABSENT))


def _storage(folders: Sequence[str], nodes: Sequence[Node]) -> Check:
    for folder in folders:
        if blind := [n.address for n in nodes if folder in n.blind]:
            where = f"{len(blind)} of {len(nodes)} nodes ({', '.join(blind)})"
            cure = "pass a folder that all nodes mount, or s3:// or gs://, by --storage or --output"
            return Check("storage", "failed", f"{folder} is not seen, or not writable, by {where}; {cure}")
    words = f"{', '.join(folders)}: written to and seen by {len(nodes)} node(s)"
    if not ray.cluster_resources().get("CPU") and not all(map(storage.is_remote, folders)):
        words = f"{words}; workers that come later must see it too: mount it there"
        return Check("storage", "warning", words)
    return Check("storage", "ok", words)


def _leave_probes(folders: Iterable[str]) -> tuple[Check | None, dict[str, str]]:
    """Leaves a small file in each folder, or in the folder above that is there already.

    Returns:
        The check that failed, if a folder cannot be written to, and folder -> file.
    """
    probes: dict[str, str] = {}
    for folder in folders:
        probe = storage.join(_existing(folder), f".preflight-{uuid.uuid4().hex}")
        try:
            storage.write_bytes(probe, b"seen")
        except OSError as error:
            words = f"cannot write to {folder} ({error}); pass another folder by --storage or --output"
            return Check("storage", "failed", words), probes
        probes[folder] = probe
    return None, probes


def _existing(folder: str) -> str:
    if storage.is_remote(folder):
        return folder
    path = storage.local_path(folder)
    return str(next((p for p in (path, *path.parents) if p.is_dir()), path))


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


def _ffmpeg(nodes: Sequence[Node]) -> Check:
    if lacking := [n.address for n in nodes if not n.ffmpeg]:
        words = f"no ffmpeg and ffprobe on {', '.join(lacking)}; install them: apt-get install ffmpeg"
        return Check("ffmpeg", "failed", words)
    return Check("ffmpeg", "ok", f"on {len(nodes)} node(s)")


def _inputs(needs: Needs) -> Check:
    """Names models by their exact versions; that paths are there was looked at before (`at_once`)."""
    found = {}
    for path, names in needs.inputs.items():
        found[path] = ", ".join(exact_model(name, needs.tracking_uri) for name in names)
    return Check("inputs", "ok", ", ".join(f"{k} {v}" for k, v in found.items()))
