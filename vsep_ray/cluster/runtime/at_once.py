"""What is wrong with a command is told at once, before Ray starts or is even imported: files that are not
there, a cluster that is gone.

`preflight` looks closer, with the whole cluster at hand.
"""

import os
import socket
import tempfile
from pathlib import Path

from vsep_ray import storage
from vsep_ray.catalog.listing import split_glob
from vsep_ray.config import UserError, fields_with
from vsep_ray.presets import JobConfig

ANSWER_SECONDS = 3.0
"""A cluster's port answers within this time."""
PATHS = ("catalog", "dataset.root")
"""What these fields name is a path, whether or not there is a slash in it."""
ADDRESS_FILE = "ray/ray_current_cluster"
"""Below the folder for temporary files `ray start` leaves the address of its cluster here."""


def check(config: JobConfig) -> None:
    """Refuses what can be seen without Ray.

    Raises:
        UserError: an input is not there, storage or output is a file, or the cluster does not answer.
    """
    for field in ("storage", "output"):
        if folder := getattr(config, field, ""):
            _check_folder(field, folder)
    for field, names in inputs(config).items():
        for name in names:
            _check_input(f"--{field.replace('_', '-')}", name, is_path=field in PATHS)
    _check_cluster(os.environ.get("RAY_ADDRESS", ""))


def inputs(config: JobConfig) -> dict[str, tuple[str, ...]]:
    """Returns the data and models that a config names: dotted path of the field -> names."""
    found = fields_with(config, "input").items()
    return {field: value if isinstance(value, tuple) else (value,) for field, value in found if value}


def _check_input(flag: str, name: str, is_path: bool) -> None:
    """Refuses a path where nothing is; ids of runs, registered models and what is in buckets pass."""
    path = storage.absolute(name)
    is_path = (is_path or "/" in name) and ":/" not in name and not split_glob(name)[1]
    if is_path and not storage.exists(path) and not storage.is_directory(path):
        looked = "" if name == path else f" (looked at {path})"
        raise UserError(f"{flag} {name}: there is no such file or folder{looked}")


def _check_folder(field: str, folder: str) -> None:
    if storage.is_remote(folder):
        return
    path = storage.local_path(folder)
    if found := next((p for p in (path, *path.parents) if p.is_file()), None):
        raise UserError(f"--{field} {folder}: {found} is a file; name a folder, which need not be there yet")


def _check_cluster(address: str) -> None:
    """Refuses the address of a cluster that is gone, for which Ray itself would wait a quarter of an hour."""
    file = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir(), ADDRESS_FILE)
    named, cure = f"RAY_ADDRESS={address}", "unset RAY_ADDRESS"
    if address in ("", "auto") and file.is_file():
        address = file.read_text().strip()
        named, cure = f"{address}, of which {file} tells,", "remove that file (`ray stop` does)"
    host, _, port = address.rpartition(":")
    if "://" in address or not port.isdigit():  # Ray Client; "local", which starts one
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()
    except OSError as error:
        reason = error.strerror or error
        raise UserError(
            f"the Ray cluster at {named} does not answer ({reason}): start it, or {cure} to use this machine"
        ) from error
