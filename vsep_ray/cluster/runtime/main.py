"""Every job script does the same around its work: flags, Ray, one JSON line, exit codes."""

import dataclasses
import importlib
import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from vsep_ray import storage
from vsep_ray.cluster.runtime import at_once, session
from vsep_ray.command_line import parse, value_of
from vsep_ray.config import FORMAT, UserError, from_dict, to_dict
from vsep_ray.presets import JobConfig

C = TypeVar("C", bound=JobConfig)
log = logging.getLogger(__name__)


def main(
    config_type: type[C],
    presets: Mapping[str, C],
    job: str,
    *,
    trains: bool = False,
) -> NoReturn:
    """Parses the flags, runs the job, prints its JSON line, and exits.

    The exit code is 0 when the job is done, 1 when it failed, 2 for a mistake of the user, which is told in
    one line and without a traceback, and 130 or 143 when it was interrupted or told to end.

    Args:
        config_type: the class of the job's config.
        presets: the named values that flags change.
        job: the module that does the work, which is imported when the command is found to be right, since
            Ray takes seconds: ``run`` of a config returns the figures of the JSON line, and status ``failed``
            in it exits with 1; ``plan`` returns what a dry run prints.
        trains: a local cluster gets a dashboard, without which Ray Train finds no dead controllers and never
            frees what those of stopped trials held.
    """
    name = Path(sys.argv[0]).stem
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
    session.prepare_environment()
    told = _leave_politely()
    code = 0
    try:
        config = resolve(_parse(config_type, presets, sys.modules["__main__"].__doc__ or ""))
        at_once.check(config)
        work = importlib.import_module(job)
        _say({"job": name, "format": FORMAT, "config": to_dict(config)}, indent=2)
        figures = (
            {"status": "planned", **work.plan(config)}
            if config.dry_run
            else _with_ray(config, work.run, trains)
        )
        line: dict[str, Any] = {"status": "done", **figures}
    except UserError as error:
        line = {"status": "refused", "error": _words(error)}
        print(f"error: {line['error']}", file=sys.stderr)
    except (Exception, KeyboardInterrupt) as error:  # the last line must be JSON whatever happened
        if told or KeyboardInterrupt in {type(error), type(error.__cause__)}:  # Ray's core wraps some
            code = 128 + (told or [signal.SIGINT])[0]
            line = {"status": "interrupted", "error": "interrupted; the same command goes on"}
            print(f"\n{line['error']}", file=sys.stderr)
        else:
            traceback.print_exc()
            line = {"status": "failed", "error": _words(error)}
    sys.stderr.flush()
    _say({"job": name, "run_id": None, **line})
    sys.exit(code or {"failed": 1, "refused": 2}.get(line["status"], 0))


def _leave_politely() -> list[int]:
    """Makes a SIGTERM an interrupt, and returns where its number is written down.

    Ray's core would abort the process, does not clean up after an exit, and makes any interrupt a plain one.
    """
    told: list[int] = []

    def terminate(number: int, frame: Any) -> NoReturn:
        told.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, terminate)
    return told


def _say(content: dict[str, Any], indent: int | None = None) -> None:
    """Prints JSON; where nobody reads any more, as behind ``| head -1``, the work goes on in silence."""
    try:
        print(json.dumps(content, indent=indent), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parse(config_type: type[C], presets: Mapping[str, C], doc: str) -> C:
    args = sys.argv[1:]
    try:
        if uri := value_of(args, "--config"):
            presets = _from_file(config_type, uri, args)
        return parse(config_type, args, presets, doc)
    except SystemExit as end:
        if not end.code:  # --help
            raise
        raise UserError("the command line was not understood: see above, and --help") from None
    except BrokenPipeError:  # who reads --help has seen enough
        os._exit(0)


def _from_file(config_type: type[C], uri: str, args: list[str]) -> Mapping[str, C]:
    """Returns the config of a file as the only preset: the file holds it, or some jobs' configs by name."""
    if value_of(args, "--preset"):
        raise UserError("--config and --preset exclude each other: both give all the starting values")
    try:
        content = json.loads(storage.read_bytes(uri))
    except (OSError, ValueError) as error:
        raise UserError(f"--config {uri} cannot be read as JSON: {error}") from error
    parts = [content, *content.values()] if isinstance(content, dict) else []
    mine = [p for p in parts if isinstance(p, dict) and p.get("type") == config_type.__name__]
    if not mine:
        raise UserError(f"--config {uri} has no {config_type.__name__} in it")
    try:
        config = from_dict(config_type, mine[0])
    except UserError as error:
        found = content.get("format", 1)
        older = f"; it is of format {found}, this version writes {FORMAT}: make it anew"
        raise UserError(f"--config {uri}: {error}{older if found != FORMAT else ''}") from error
    return {config.preset: config}


def resolve(config: C) -> C:
    """Returns the config with storage and tracking URI from the environment where flags name none.

    Local paths become absolute, since workers have another working directory.

    Raises:
        UserError: the storage is a bucket, which cannot hold a sqlite tracking store, and no server is named.
    """
    root = (config.storage or os.environ.get("VSEP_STORAGE") or "~/.vsep_ray").removeprefix("file://")
    root = root if "://" in root else str(Path(root).expanduser().resolve())
    tracking = config.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not tracking and "://" in root:
        raise UserError(
            f"storage {root} cannot hold a sqlite tracking store; "
            "pass --tracking-uri http://... or set MLFLOW_TRACKING_URI"
        )
    return dataclasses.replace(config, storage=root, tracking_uri=tracking or f"sqlite:///{root}/mlflow.db")


def _with_ray(config: C, run: Callable[[C], dict[str, Any]], dashboard: bool) -> dict[str, Any]:
    """Runs the job in the cluster that RAY_ADDRESS or a running job names, else in a local one that ends with
    it."""
    import ray

    from vsep_ray.cluster.runtime import preflight

    if "://" not in config.storage:
        Path(config.storage).mkdir(parents=True, exist_ok=True)
    handler = signal.getsignal(signal.SIGTERM)
    session.start_ray(include_dashboard=dashboard)
    signal.signal(signal.SIGTERM, handler)  # Ray has set its own
    try:
        preflight.require(preflight.Needs.of(config))
        return run(config)
    finally:
        ray.shutdown()


def _words(error: BaseException) -> str:
    """Returns the message in one line; where a Ray task carried the error, the message of its cause."""
    cause = getattr(error, "cause", None) or error
    text = " ".join(str(cause).split())
    return text if isinstance(cause, UserError) else f"{type(cause).__name__}: {text}"
