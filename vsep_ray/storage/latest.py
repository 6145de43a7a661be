"""What "the latest" of finished things is: it travels with their files, whose own times a copy changes."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from vsep_ray.storage.files import read_bytes
from vsep_ray.storage.listing import list_files, stamps
from vsep_ray.storage.uris import join

FINISHED = "finished"
"""Under this key the JSON file that is written last, and so completes a thing, has the time in UTC."""
READERS = 16
"""This number of files is read at a time."""


def finished_now() -> dict[str, str]:
    """Returns the entry that says of a thing that it is finished at this moment."""
    return {FINISHED: datetime.now(UTC).isoformat()}


def newest_first(uri: str, name: str) -> list[str]:
    """Returns the paths relative to ``uri`` of the JSON files of this name below it, that of what was
    finished last first. Where one does not say when, as before 29 November 2026, its last change counts.
    """
    found = [path for path in list_files(uri) if path.rpartition("/")[2] == name]
    uris = [join(uri, path) for path in found]
    changed = [nanoseconds / 1e9 for _, nanoseconds in stamps(uris)]
    with ThreadPoolExecutor(READERS) as pool:
        times = list(pool.map(_time, uris, changed))
    return [path for _, path in sorted(zip(times, found, strict=True), reverse=True)]


def _time(uri: str, changed: float) -> float:
    """Returns when a thing was finished (seconds since 1970), or ``changed`` where it does not say so."""
    try:
        said = json.loads(read_bytes(uri)).get(FINISHED)
    except (FileNotFoundError, ValueError):  # gone or torn meanwhile: who takes it says so
        return changed
    return datetime.fromisoformat(said).timestamp() if said else changed
