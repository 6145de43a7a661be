"""Every job script does the same around its work: flags, Ray, one JSON line, exit codes."""

import dataclasses
import importlib
import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from vsep_ray import storage
from vsep_ray.cluster.runtime import at_once, session, talk
from vsep_ray.command_line import parse, value_of
from vsep_ray.config import FORMAT, UserError, from_dict, to_dict
from vsep_ray.presets import JobConfig
from vsep_ray.presets.job import storage_root

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
            in it exits with 1; ``closing`` returns what is said of them (`talk.closing`); ``plan`` returns
            what a dry run prints.
        trains: a local cluster gets a dashboard, without which Ray Train finds no dead controllers and never
            frees what those of stopped trials held.
    """
    name = Path(sys.argv[0]).stem
    talk.begin(verbose := "--verbose" in sys.argv)
    session.prepare_environment(verbose)
    told = _leave_politely()
    code = 0
    try:
        config = resolve(_parse(config_type, presets, sys.modules["__main__"].__doc__ or ""))
        at_once.check(config)
        work = importlib.import_module(job)
        log.info(talk.opening(config, sys.argv[1:]))
        if config.dry_run:
            _say(json.dumps({"job": name, "format": FORMAT, "config": to_dict(config)}, indent=2))
            figures = {"status": "planned", **work.plan(config)}
        else:
            figures = _with_ray(config, work.run, trains)
            _close(config, figures, work.closing(config, figures))
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
    _say(json.dumps({"job": name, "run_id": None, **line}))
    sys.exit(code or {"failed": 1, "refused": 2}.get(line["status"], 0))


def _close(config: JobConfig, figures: Mapping[str, Any], lines: Sequence[talk.Line]) -> None:
    """Says what has come out, to who waits and in the run's description."""
    _say(*talk.closing(config, lines, figures.get("run_id")))
    talk.describe(config, figures, lines)


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


def _say(*lines: str) -> None:
    """Prints lines; where nobody reads any more, as behind ``| head -1``, the work goes on in silence."""
    try:
        for line in lines:
            print(line, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parse(config_type: type[C], presets: Mapping[str, C], doc: str) -> C:
    args = sys.argv[1:]
    try:
        if uri := value_of(args, "--config"):
            presets = _from_file(config_type, uri, args)
        return parse(config_type, args, presets, doc)
    except BrokenPipeError:  # who reads --help has seen enough
        os._exit(0)


def _from_file(config_type: type[C], uri: str, args: list[str]) -> Mapping[str, C]:
    """Returns the config of a file as the only preset: the file holds it, or some jobs' configs by name."""
    if value_of(args, "--preset"):
        raise UserError("--config and --preset exclude each other: both give all the starting values")
    if not storage.exists(storage.absolute(uri)):
        raise UserError(f"--config {uri}: there is no such file (looked at {storage.absolute(uri)})")
    try:
        content = json.loads(storage.read_bytes(uri))
    except (OSError, ValueError) as error:
        raise UserError(f"--config {uri} is no JSON, such as a sweep's best.json: {error}") from error
    parts = [content, *content.values()] if isinstance(content, dict) else []
    mine = [p for p in parts if isinstance(p, dict) and p.get("type") == config_type.__name__]
    if not mine:
        raise UserError(
            f"--config {uri} has no settings of this job in it ({config_type.__name__}); "
            "take the best.json of a sweep, or the config.json of a run of this job"
        )
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
    root = storage_root(config.storage)
    tracking = config.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not tracking and "://" in root:
        raise UserError(
            f"--storage {root}: MLflow's record of runs cannot lie in a bucket; "
            "name its server by --tracking-uri http://HOST:PORT, or set MLFLOW_TRACKING_URI"
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
    session.start_ray(verbose=config.verbose, include_dashboard=dashboard)
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
