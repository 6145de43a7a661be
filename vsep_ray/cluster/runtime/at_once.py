"""What is wrong with a command is told at once, before Ray starts or is even imported: files that are not
there, a cluster that is gone.

`preflight` looks closer, with the whole cluster at hand.
"""

import os
import socket
import tempfile
from pathlib import Path

from vsep_ray import checkpoint, storage
from vsep_ray.audio.formats import AUDIO_ENDINGS, is_sound, libsndfile_subtype
from vsep_ray.bounds import check_values
from vsep_ray.catalog import listing
from vsep_ray.catalog.listing import split_glob
from vsep_ray.config import UserError, fields_with
from vsep_ray.crops.store import STORE_FILE
from vsep_ray.datasets import manifest
from vsep_ray.datasets.dataset import FilesDataset
from vsep_ray.datasets.folders import SourcesConfig, StemsConfig
from vsep_ray.datasets.track import Track
from vsep_ray.presets import JobConfig, SeparateCatalogConfig

ANSWER_SECONDS = 3.0
"""A cluster's port answers within this time."""
COMPLETE = {
    "crops": (STORE_FILE, "finished crop store", "prepare_crops"),
    "model": (checkpoint.FILES[0], "model", "train_separator"),
    "start": (checkpoint.FILES[0], "model", "train_separator"),
}
"""A folder that these fields name has the file if it holds what is expected, and the job makes such."""
PATHS = ("catalog", "dataset.root")
"""What these fields name is a path, whether or not there is a slash in it."""
SUBMITTED = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""`ray job submit` sets this variable for the jobs that it starts."""
ADDRESS_FILE = "ray/ray_current_cluster"
"""Below the folder for temporary files `ray start` leaves the address of its cluster here."""


def check(config: JobConfig) -> None:
    """Refuses what can be seen without Ray.

    Raises:
        UserError: an input is not there, storage or output is a file, or the cluster does not answer.
    """
    check_values(config)
    if isinstance(dataset := getattr(config, "dataset", None), FilesDataset):
        dataset.check_root()
    for field in ("storage", "output"):
        if folder := getattr(config, field, ""):
            _check_folder(field, folder)
    for field, names in inputs(config).items():
        flag = "--" + field.rpartition(".")[2].replace("_", "-")
        for name in names:
            file, what, job = COMPLETE.get(field, ("", "", ""))
            _check_input(flag, name, field in PATHS, f"; jobs/{job}.py makes one" if job else "")
            if file:
                _check_complete(
                    flag, name, file, f"{what}: there is no {file} in it; jobs/{job}.py makes one"
                )
    if isinstance(config, SeparateCatalogConfig):
        _check_catalog(config)
    if isinstance(dataset, SourcesConfig | StemsConfig):
        _check_sounds("--root", dataset.root)
    _check_cluster(os.environ.get("RAY_ADDRESS", ""))


def inputs(config: JobConfig) -> dict[str, tuple[str, ...]]:
    """Returns the data and models that a config names: dotted path of the field -> names."""
    found = fields_with(config, "input").items()
    return {field: value if isinstance(value, tuple) else (value,) for field, value in found if value}


def _check_input(flag: str, name: str, is_path: bool, cure: str) -> None:
    """Refuses a path where nothing is; ids of runs, registered models and what is in buckets pass."""
    path = storage.absolute(name)
    is_path = (is_path or "/" in name) and ":/" not in name and not split_glob(name)[1]
    if is_path and not storage.exists(path) and not storage.is_directory(path):
        looked = "" if name == path else f" (looked at {path})"
        copy = "; a submitted job runs in a copy of its working folder: name a full path" if looked else ""
        words = copy if SUBMITTED in os.environ else ""
        raise UserError(f"{flag} {name}: there is no such file or folder{looked}{words or cure}")


def _check_complete(flag: str, name: str, file: str, what: str) -> None:
    """Refuses a folder without the file that completes what it should hold."""
    path = storage.absolute(name)
    if ":/" not in name and storage.exists(path) and not storage.exists(storage.join(path, file)):
        raise UserError(f"{flag} {name} is no {what}")


def _check_catalog(config: SeparateCatalogConfig) -> None:
    """Refuses a local catalog in which no sound file is found, and names and formats that cannot be."""
    scheme, colon, _ = config.catalog.partition("://")
    if colon and scheme not in (*storage.REMOTE, "file"):
        known = ", ".join(f"{s}://" for s in storage.REMOTE)
        raise UserError(
            f"--catalog {config.catalog}: {scheme}:// cannot be read; name a local path or {known}"
        )
    libsndfile_subtype(config.format, config.subtype)
    listing.check_names([Track("song.wav", "song.wav")], ("vocals", "rest"), config.template, config.format)
    is_pattern = bool(split_glob(config.catalog)[1])
    is_list = is_pattern or storage.suffix(config.catalog) in manifest.ENDINGS
    if is_list and not storage.is_remote(config.catalog):
        listing.read_catalog(storage.absolute(config.catalog))
    else:
        _check_sounds("--catalog", config.catalog)


def _check_sounds(flag: str, name: str) -> None:
    """Refuses a local file that is no sound file, and a local folder without one, by their endings."""
    path = storage.absolute(name)
    if storage.is_remote(path) or not storage.exists(path):
        return
    below = (n for _, _, names in os.walk(storage.local_path(path)) for n in names)
    is_folder = storage.is_directory(path)
    if not any(map(is_sound, below if is_folder else [path])):
        what = "has no sound file in it" if is_folder else "is no sound file"
        raise UserError(f"{flag} {name} {what}; endings that count: {' '.join(sorted(AUDIO_ENDINGS))}")


def _check_folder(field: str, folder: str) -> None:
    if storage.is_remote(folder):
        return
    path = storage.local_path(folder)
    if found := next((p for p in (path, *path.parents) if p.is_file()), None):
        raise UserError(f"--{field}: {found} is a file, not a folder; name a folder (it is made if missing)")


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
