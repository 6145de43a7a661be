"""What must hold of a cluster before a job works on it for hours: a table in words; a refusal comes with its
cure."""

import logging
import os
import platform
import urllib.request
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import ray

from vsep_ray import storage
from vsep_ray.catalog.listing import split_glob
from vsep_ray.cluster.runtime.needs import Needs
from vsep_ray.cluster.runtime.nodes import ABSENT, NODE_SECONDS, PACKAGES, Node, installed, look_everywhere
from vsep_ray.cluster.runtime.ray_private import is_started_here
from vsep_ray.config import UserError
from vsep_ray.tracking import exact_model

log = logging.getLogger(__name__)
HTTP_SECONDS = 3.0


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


def require(needs: Needs) -> list[Check]:
    """Run `checks`, log the table, and refuse where one failed.

    Raises:
        UserError: the failed checks, with their cures.
    """
    table = checks(needs)
    lines = [f"  {c.status:8}{c.name:10}{c.detail}" for c in table]
    log.info("before any work:\n%s", "\n".join(lines))
    failed = [f"{c.name}: {c.detail}" for c in table if c.status == "failed"]
    if failed:
        raise UserError("; ".join(failed))
    return table


def checks(needs: Needs) -> list[Check]:
    """The table for the cluster that Ray is connected to."""
    ids = sorted(n["NodeID"] for n in ray.nodes() if n["Alive"])
    unwritable, probes = _leave_probes(needs.folders)
    try:
        nodes, silent = look_everywhere(ids, probes)
    finally:
        for probe in probes.values():
            storage.delete(probe)
    table = [
        _cluster(len(ids), silent),
        _resources(needs),
        _versions(nodes),
        unwritable or _storage(needs.folders, nodes),
        _tracking(needs.tracking_uri, len(ids)),
    ]
    programs = [_ffmpeg(nodes)] if needs.ffmpeg else []
    inputs = [_inputs(needs)] if needs.inputs else []
    return [*table, *programs, *inputs]


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
    total = ray.cluster_resources()
    have = {"CPU": total.get("CPU", 0.0), "GPU": total.get("GPU", 0.0)}
    asked = {"CPU": needs.cpus, "GPU": float(needs.gpus)}
    words = ", ".join(f"{asked[k]:g} {k} asked of {have[k]:g}" for k in asked if asked[k] or have[k])
    if all(have[k] >= asked[k] for k in asked):
        return Check("resources", "ok", words)
    some = all(have[k] or not asked[k] for k in asked)
    if (needs.waits and some) or not is_started_here():
        return Check("resources", "warning", f"{words}: the rest is waited for; does the cluster grow?")
    less = "ask for less: --resources.num-workers, --resources.cpus-per-worker, --resources.device cpu"
    cure = "pass --device cpu or auto" if needs.waits else less
    return Check("resources", "failed", f"{words}; {cure}")


def _versions(nodes: Sequence[Node]) -> Check:
    here = installed()
    lacking = [f"{p} on {n.address}" for n in nodes for p in PACKAGES if n.versions[p] == ABSENT != here[p]]
    if lacking:
        return Check("packages", "failed", f"no {', '.join(lacking)}; install the same packages everywhere")
    differing = [
        f"{p} {n.versions[p]} on {n.address}" for n in nodes for p in here if n.versions[p] != here[p]
    ]
    if differing:
        words = f"{', '.join(differing)} differ from the driver's; results may differ in the last bits"
        return Check("packages", "warning", words)
    return Check("packages", "ok", ", ".join(f"{p} {v}" for p, v in here.items() if v != ABSENT))


def _storage(folders: Sequence[str], nodes: Sequence[Node]) -> Check:
    for folder in folders:
        blind = [n.address for n in nodes if folder in n.blind]
        if blind:
            where = f"{len(blind)} of {len(nodes)} nodes ({', '.join(blind)})"
            cure = "pass a folder that all nodes mount, or s3:// or gs://, by --storage or --output"
            return Check("storage", "failed", f"{folder} is not seen, or not writable, by {where}; {cure}")
    words = f"{', '.join(folders)}: written to and seen by {len(nodes)} node(s)"
    if not ray.cluster_resources().get("CPU") and not all(map(storage.is_remote, folders)):
        return Check(
            "storage", "warning", f"{words}; workers that come later must see it too: mount it there"
        )
    return Check("storage", "ok", words)


def _leave_probes(folders: Iterable[str]) -> tuple[Check | None, dict[str, str]]:
    """Folder -> a small file in it, or in the folder above that is there already; else what failed."""
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
        words = f"{uri} does not answer ({error}); the job goes on and sends later"
        return Check("tracking", "warning", words)


def _ffmpeg(nodes: Sequence[Node]) -> Check:
    if lacking := [n.address for n in nodes if not n.ffmpeg]:
        words = f"no ffmpeg and ffprobe on {', '.join(lacking)}; install them: apt-get install ffmpeg"
        return Check("ffmpeg", "failed", words)
    return Check("ffmpeg", "ok", f"on {len(nodes)} node(s)")


def _inputs(needs: Needs) -> Check:
    """Models by their exact versions; what is plainly a path must be there. The job itself looks closer."""
    found = {}
    for field, names in needs.inputs.items():
        for name in names:
            if "/" in name and ":/" not in name and not split_glob(name)[1] and not _exists(name):
                flag = f"--{field.replace('_', '-')}"
                return Check("inputs", "failed", f"{flag} {name}: there is no such file or folder")
        found[field] = ", ".join(exact_model(name, needs.tracking_uri) for name in names)
    return Check("inputs", "ok", ", ".join(f"{k} {v}" for k, v in found.items()))


def _exists(path: str) -> bool:
    uri = storage.absolute(path)
    return storage.exists(uri) or storage.is_directory(uri)
