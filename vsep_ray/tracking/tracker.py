"""The one object that logs a run."""

import functools
import io
import logging
import math
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Self

import numpy as np

from vsep_ray.tracking.models import mlmodel
from vsep_ray.tracking.sender import Sender, replay
from vsep_ray.tracking.spool import Spool, new_spool

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)
P = ParamSpec("P")
Status = Literal["FINISHED", "FAILED", "KILLED"]
Event = dict[str, Any]
LONGEST_PARAM, LONGEST_TAG = 6000, 8000  # MLflow's limits


def _safely(method: Callable[P, None]) -> Callable[P, None]:
    """Returns a method that logs what it would raise: a full disk below the spool must not end a training."""

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(*args, **kwargs)
        except Exception:
            log.warning("tracking: %s was not recorded", method.__name__, exc_info=True)

    return call


class Tracker:
    """The log of one run. Every method returns at once, except `start`, `register` and `finish`, which wait
    for a bounded time; none raises.

    Use as a context manager: an exception ends the run as FAILED, an interrupt or exit as KILLED.
    """

    def __init__(self, spool: Spool, sender: Sender, *, ends: bool) -> None:
        self._spool, self._sender, self._ends = spool, sender, ends
        self._nonfinite = 0
        self._finished = False

    @classmethod
    def start(
        cls,
        tracking_uri: str,
        *,
        experiment: str,
        run_name: str,
        spool: Path | str,
        parent_run_id: str | None = None,
        run_id: str | None = None,
        tags: Mapping[str, Any] = {},
        params: Mapping[str, Any] = {},
        timeout_seconds: float = 30.0,
    ) -> Self:
        """Creates a run, or continues ``run_id``, and waits for its id. With the server away the id is a
        local one, and the run is sent later.

        Args:
            tracking_uri: http(s) server, or sqlite:/// with an absolute path (one node only).
            experiment: name; created where it is missing (artefacts of a sqlite store lie in ``artifacts/``
                next to the database).
            run_name: shown in the list of runs.
            spool: local folder that keeps what was not sent yet; left-overs of earlier runs there are sent
                too.
            parent_run_id: the run below which this one is shown; a local id will do.
            run_id: the run to continue; where the server does not know it a new one is made.
            tags: as `tags`.
            params: as `params`.
            timeout_seconds: longest wait for the run's id.
        """
        begin = {
            "kind": "begin",
            "experiment": experiment,
            "run_name": run_name,
            "parent": parent_run_id,
            "run_id": run_id,
        }
        tracker = cls._open(tracking_uri, spool, begin, ends=True)
        tracker.tags(tags)
        tracker.params(params)
        tracker._sender.wait(timeout_seconds)
        threading.Thread(
            target=replay, args=(tracker._spool.folder.parent, tracking_uri, {tracker.run_id}), daemon=True
        ).start()
        return tracker

    @classmethod
    def attach(cls, tracking_uri: str, *, run_id: str, spool: Path | str) -> Self:
        """Returns a tracker of a run that another process starts and ends, as training workers need it."""
        return cls._open(tracking_uri, spool, {"kind": "attach", "run_id": run_id}, ends=False)

    @classmethod
    def _open(cls, tracking_uri: str, spool: Path | str, begin: Event, *, ends: bool) -> Self:
        queue = new_spool(spool)
        queue.append({**begin, "tracking_uri": tracking_uri})
        return cls(queue, Sender(queue, tracking_uri), ends=ends)

    @property
    def run_id(self) -> str:
        """The run's id on the server; a local id (``local-...``) as long as the server has not answered."""
        return self._sender.delivery.run_id or self._spool.folder.name

    @_safely
    def metrics(self, values: Mapping[str, Any], step: int = 0) -> None:
        """Logs numbers at a step, NaN and infinities too; the metric ``nonfinite_values`` counts them."""
        for name, value in values.items():
            number = float(value)
            self._nonfinite += not math.isfinite(number)
            self._add({"kind": "metric", "name": _clean(name), "value": number, "step": int(step)})

    @_safely
    def params(self, values: Mapping[str, Any]) -> None:
        """Logs parameters once; nested mappings get dotted names, values are cut at 6,000 characters."""
        for name, value in _flat(values):
            self._add({"kind": "param", "name": _clean(name), "value": str(value)[:LONGEST_PARAM]})

    @_safely
    def tags(self, values: Mapping[str, Any]) -> None:
        """Sets tags; a later value replaces an earlier one, values are cut at 8,000 characters."""
        for name, value in values.items():
            self._add({"kind": "tag", "name": _clean(name), "value": str(value)[:LONGEST_TAG]})

    @_safely
    def text(self, content: str, name: str) -> None:
        """Stores a text as the artefact ``name``, such as ``report.html`` or ``tables/scores.csv``."""
        self._store(content.encode(), name)

    @_safely
    def figure(self, figure: "Figure", name: str) -> None:
        """Stores a figure as the artefact ``name``, in the format of its ending."""
        buffer = io.BytesIO()
        figure.savefig(buffer, format=Path(name).suffix.lstrip(".") or "png", dpi=120)
        self._store(buffer.getvalue(), name)

    @_safely
    def audio(self, audio: np.ndarray, sample_rate: int, name: str) -> None:
        """Stores audio (C, T) as a 16-bit wav that MLflow's page plays; over full scale it is scaled down."""
        import soundfile

        buffer = io.BytesIO()
        scaled = np.asarray(audio).T / max(1.0, float(np.abs(audio).max(initial=0.0)))
        soundfile.write(buffer, scaled, sample_rate, format="WAV", subtype="PCM_16")
        self._store(buffer.getvalue(), name)

    @_safely
    def artifact(self, path: Path | str, folder: str = "") -> None:
        """Stores a file below ``folder``, or a folder's content as ``folder`` (default: its own name)."""
        path = Path(path)
        copy: Callable[..., Any] = shutil.copytree if path.is_dir() else shutil.copyfile
        kept = self._spool.keep(path.name, lambda target: copy(path, target))
        folder = folder or (path.name if path.is_dir() else "")
        self._add({"kind": "artifact", "file": kept, "folder": folder})

    @_safely
    def dataset(self, name: str, fingerprint: str, uri: str) -> None:
        """Records which data the run read: name, fingerprint (MLflow's digest) and where it lies."""
        self._add({"kind": "dataset", "name": name, "digest": fingerprint[:36], "uri": uri})

    def register(
        self, directory: Path | str, name: str, alias: str = "", timeout_seconds: float = 60.0
    ) -> str | None:
        """Stores a checkpoint directory as a new version of the registered model ``name`` and points
        ``alias`` at it. MLflow loads it as a pyfunc (`vsep_ray.pyfunc`).

        Returns:
            ``models:/name/version``; None where the server did not answer in time (it is registered later,
            from the spool).
        """
        self.artifact(directory, folder=name)
        self._describe(Path(directory), name)
        self._add({"kind": "register", "name": name, "alias": alias})
        self._sender.wait(timeout_seconds)
        return self._sender.delivery.registered.get(name)

    @_safely
    def _describe(self, directory: Path, name: str) -> None:
        self._store(mlmodel(directory, name).encode(), f"{name}/MLmodel")

    def finish(self, status: Status = "FINISHED", timeout_seconds: float = 30.0) -> None:
        """Ends the run (an attached one goes on) and waits until all is sent, a try fails or the time is
        over.
        """
        if self._finished:
            return
        self._finished = True
        if self._nonfinite:
            self.metrics({"nonfinite_values": self._nonfinite})
        if self._ends:
            self._add({"kind": "end", "status": status})
        self._sender.close(timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stopped = kind is not None and issubclass(kind, (KeyboardInterrupt, SystemExit))
        self.finish("FINISHED" if kind is None else "KILLED" if stopped else "FAILED")

    def _store(self, content: bytes, name: str) -> None:
        kept = self._spool.keep(Path(name).name, lambda target: target.write_bytes(content))
        self._add({"kind": "artifact", "file": kept, "folder": str(Path(name).parent).removeprefix(".")})

    @_safely
    def _add(self, event: Event) -> None:
        self._spool.append(event)
        self._sender.wake()


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _clean(name: str) -> str:
    """Returns a name that MLflow takes: letters, digits and ``_-. /:``."""
    return re.sub(r"[^\w\-. /:]", "_", name, flags=re.ASCII)
