"""What a job says to a person: at first what it was asked to do, in the end what came out, where it lies and
what comes next.
"""

import logging
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from tqdm import tqdm
from typing_extensions import override

from vsep_ray.cluster.runtime import tracked_run
from vsep_ray.command_line import value_of
from vsep_ray.presets import JobConfig
from vsep_ray.presets.job import storage_root

Line = tuple[str, str]
"""What something is, "" where that needs no word, and where it lies or how it is."""
ORIGIN = ("dataset", "crops", "priors", "model")
"""A run's description says from what it was made, where the figures have these."""
QUIET = ("ray", "mlflow", "alembic", "matplotlib", "fsspec", "urllib3")
"""Only errors of these packages are worth a line."""


class _BesideBar(logging.Handler):
    """Writes to standard error, above a bar that may stand there."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stderr)


class _Plain(logging.Formatter):
    """A line has the time and the words, and where something is wrong says so."""

    @override
    def formatMessage(self, record: logging.LogRecord) -> str:
        sign = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        return f"{self.formatTime(record, '%H:%M:%S')} {sign}{record.message}"


def begin(verbose: bool) -> None:
    """Sets up the log: our words alone, or everybody's and where they come from."""
    handler = _BesideBar()
    words = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    handler.setFormatter(logging.Formatter(words, "%H:%M:%S") if verbose else _Plain())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("vsep_ray").setLevel(logging.DEBUG if verbose else logging.INFO)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.NOTSET if verbose else logging.ERROR)


def opening(config: JobConfig, args: Sequence[str]) -> str:
    """Returns what a job was asked to do, in one line: its preset or file, what was typed beside that, and
    where things lie.

    Args:
        config: the job's, as it is resolved.
        args: the command line.
    """
    start = f"the config {config.config}" if config.config else f"preset {config.preset}"
    rest = list(args)
    for flag in ("--config", "--preset", "--storage"):
        value_of(rest, flag, remove=True)
    return ", ".join(filter(None, [start, shlex.join(rest), f"storage {config.storage}"]))


def closing(config: JobConfig, lines: Sequence[Line], run_id: str | None) -> list[str]:
    """Returns the lines at the end of a job: a result without a name, then what it is -> where it lies.

    Args:
        config: the job's.
        lines: name and text of each; what has no text is left out.
        run_id: of the MLflow run; None where there is none.
    """
    if run_id:
        server = f"mlflow server --backend-store-uri {config.tracking_uri} --port 5001"
        where = server if config.tracking_uri.startswith("sqlite") else config.tracking_uri
        last = [line for line in lines if line[0] == "next"]
        lines = [*(line for line in lines if line not in last), ("run", f"{run_id}, {where}"), *last]
    return [f"{name + ':':<8} {text}" if name else text for name, text in lines if text]


def describe(config: JobConfig, figures: Mapping[str, Any], lines: Sequence[Line]) -> None:
    """Writes the description of a job's MLflow run, if it has one: from what it was made, and its last lines.

    Args:
        config: the job's.
        figures: of the JSON line.
        lines: as in `closing`.
    """
    if not (run_id := figures.get("run_id")):
        return
    origin = {name: str(figures[name]) for name in ORIGIN if name in figures}
    told = closing(config, list((origin | dict(lines[1:])).items()), None)
    tracked_run.describe(config, run_id, [lines[0][1], *told])


def command(job: str, config: JobConfig, *words: str) -> str:
    """Returns a command that goes on in the same storage.

    Args:
        job: the script's name, without its ending.
        config: of the job that has ended.
        words: flags and values.
    """
    storage = [] if config.storage == storage_root() else ["--storage", config.storage]
    return shlex.join(["python", f"jobs/{job}.py", *words, *storage])
