"""What every job script does around its work: flags, Ray, one JSON line, exit codes."""

import dataclasses
import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from vsep_ray import storage
from vsep_ray.cluster.runtime import session
from vsep_ray.command_line import parse, value_of
from vsep_ray.config import FORMAT, UserError, from_dict, to_dict
from vsep_ray.presets import JobConfig

C = TypeVar("C", bound=JobConfig)
log = logging.getLogger(__name__)


def main(
    config_type: type[C],
    presets: Mapping[str, C],
    run: Callable[[C], dict[str, Any]],
    plan: Callable[[C], dict[str, Any]] | None = None,
    *,
    trains: bool = False,
) -> NoReturn:
    """Parse the flags, run the job, print its JSON line, exit.

    ``run`` returns the figures of the JSON line; ``"status": "failed"`` in them exits with 1. ``plan``
    returns what a dry run prints. ``trains``: a local cluster gets a dashboard, without which Ray Train finds
    no dead controllers and never frees what those of stopped trials held.
    Exit codes: 0 done; 1 failed; 2 the user's mistake, in one line and without a traceback.
    """
    name = Path(sys.argv[0]).stem
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
    session.prepare_environment()
    try:
        doc = sys.modules["__main__"].__doc__ or ""
        config = resolve(_parse(config_type, presets, doc))
        print(json.dumps({"job": name, "format": FORMAT, "config": to_dict(config)}, indent=2), flush=True)
        figures = _dry_run(config, plan) if config.dry_run else _with_ray(config, run, trains)
    except UserError as error:
        _finish({"job": name, "run_id": None, "status": "refused", "error": _words(error)}, 2)
    except Exception as error:  # the last line must be JSON whatever happened; the traceback goes to stderr
        traceback.print_exc()
        _finish({"job": name, "run_id": None, "status": "failed", "error": _words(error)}, 1)
    line = {"job": name, "run_id": None, "status": "done", **figures}
    _finish(line, 0 if line["status"] != "failed" else 1)


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
    """The config of a file as the only preset: the file holds it, or some jobs' configs by name."""
    if value_of(args, "--preset"):
        raise UserError("--config and --preset exclude each other: both give all the starting values")
    try:
        content = json.loads(storage.read_bytes(uri))
    except (OSError, ValueError) as error:
        raise UserError(f"--config {uri} cannot be read as JSON: {error}") from error
    parts = [content, *content.values()] if isinstance(content, dict) else []
    for part in parts:
        if isinstance(part, dict) and part.get("type") == config_type.__name__:
            config = _of_format(config_type, part, uri, content.get("format", 1))
            return {config.preset: config}
    raise UserError(f"--config {uri} has no {config_type.__name__} in it")


def _of_format(config_type: type[C], part: Any, uri: str, found: int) -> C:
    try:
        return from_dict(config_type, part)
    except UserError as error:
        older = f"it is of format {found}, this version writes {FORMAT}: make it anew"
        raise UserError(f"--config {uri}: {error}" + (f"; {older}" if found != FORMAT else "")) from error


def resolve(config: C) -> C:
    """Fill in the storage and the tracking URI from the environment; local paths become absolute (workers
    have another cwd)."""
    root = config.storage or os.environ.get("VSEP_STORAGE") or "~/.vsep_ray"
    root = root if "://" in root else str(Path(root).expanduser().resolve())
    tracking = config.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not tracking and "://" in root:
        raise UserError(
            f"storage {root} cannot hold a sqlite tracking store; "
            "pass --tracking-uri http://... or set MLFLOW_TRACKING_URI"
        )
    return dataclasses.replace(config, storage=root, tracking_uri=tracking or f"sqlite:///{root}/mlflow.db")


def _dry_run(config: C, plan: Callable[[C], dict[str, Any]] | None) -> dict[str, Any]:
    return {"status": "planned", **(plan(config) if plan else {})}


def _with_ray(config: C, run: Callable[[C], dict[str, Any]], dashboard: bool) -> dict[str, Any]:
    """Run inside the cluster that RAY_ADDRESS or a running job names, else in a local one that ends with
    the job."""
    import ray

    from vsep_ray.cluster.runtime import preflight
    from vsep_ray.cluster.runtime.needs import Needs

    if "://" not in config.storage:
        Path(config.storage).mkdir(parents=True, exist_ok=True)
    session.start_ray(include_dashboard=dashboard)
    try:
        preflight.require(Needs.of(config))
        return run(config)
    finally:
        ray.shutdown()


def _words(error: BaseException) -> str:
    """The message in one line; of an error that a Ray task carried, the message of its cause."""
    cause = getattr(error, "cause", None) or error
    text = " ".join(str(cause).split())
    return text if isinstance(cause, UserError) else f"{type(cause).__name__}: {text}"


def _finish(line: dict[str, Any], code: int) -> NoReturn:
    if code == 2:
        print(f"error: {line['error']}", file=sys.stderr)
    sys.stderr.flush()
    print(json.dumps(line), flush=True)
    sys.exit(code)
