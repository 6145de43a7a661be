"""How each spooled event is told to MLflow."""

import itertools
import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vsep_ray.tracking.client import client, experiment_id
from vsep_ray.tracking.spool import Spool

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)
Event = dict[str, Any]
BATCH = {"metric": 1000, "param": 100, "tag": 100}  # the limits of MLflow's log_batch
REJECTED = {
    "INVALID_PARAMETER_VALUE",
    "BAD_REQUEST",
    "RESOURCE_ALREADY_EXISTS",
    "RESOURCE_DOES_NOT_EXIST",
}
SPOOL_TAG = "vsep.spool"
RUN_ID = "run_id"


class Delivery:
    """Tells the events of one spool to MLflow, in order, and marks them as sent.

    Attributes:
        run_id: the run's id on the server, ``""`` before it is known.
        registered: ``models:/name/version`` of each model that was registered.
    """

    def __init__(self, spool: Spool, tracking_uri: str) -> None:
        self.spool, self.tracking_uri = spool, tracking_uri
        self.run_id = spool.note(RUN_ID)
        self.registered: dict[str, str] = {}

    @property
    def api(self) -> "MlflowClient":
        """The client; made at first use, since it imports MLflow."""
        return client(self.tracking_uri)

    def send_some(self) -> bool:
        """Sends the next events that go together; returns False where none is left, and raises what MLflow
        raises.
        """
        events = self.spool.unsent(max(BATCH.values()))
        if not events:
            return False
        kind = events[0][0]["kind"]
        alike = itertools.takewhile(lambda e: e[0]["kind"] == kind, events[: BATCH.get(kind, 1)])
        batch, marks = zip(*alike, strict=True)
        self._deliver(kind, list(batch))
        self.spool.mark_sent(marks[-1])
        return True

    def _deliver(self, kind: str, batch: list[Event]) -> None:
        """Sends events and drops, with a warning, what is refused for good; only a run's beginning is
        insisted on.
        """
        from mlflow.exceptions import MlflowException

        try:
            self._tell(kind, batch)
        except MlflowException as error:
            if error.error_code not in REJECTED or kind in ("begin", "attach"):
                raise
            if len(batch) > 1:
                for event in batch:
                    self._deliver(kind, [event])
            else:
                log.warning("tracking refuses %s: %s", batch[0], error)

    def _tell(self, kind: str, batch: list[Event]) -> None:
        match kind:
            case "begin":
                self._set_run_id(self._begin(batch[0]))
            case "attach":
                self._set_run_id(self._remote_id(batch[0]["run_id"]))
            case "metric" | "param" | "tag":
                self._log_batch(kind, batch)
            case "artifact":
                self._artifact(batch[0])
            case "dataset":
                self._dataset(batch[0])
            case "register":
                self._register(batch[0])
            case "end":
                self.api.set_terminated(self.run_id, batch[0]["status"], batch[0]["time"])

    def _set_run_id(self, run_id: str) -> None:
        self.spool.write_note(RUN_ID, run_id)
        self.run_id = run_id

    def _begin(self, event: Event) -> str:
        if event["run_id"] and (run_id := self._continued(event["run_id"])):
            return run_id
        if run_id := self._find(self.spool.folder.name):  # made, and the process ended before it noted it
            return run_id
        tags = {SPOOL_TAG: self.spool.folder.name}
        if event["parent"]:
            tags["mlflow.parentRunId"] = self._remote_id(event["parent"])
        experiment = experiment_id(self.tracking_uri, event["experiment"])
        run = self.api.create_run(experiment, start_time=event["time"], tags=tags, run_name=event["run_name"])
        return run.info.run_id

    def _continued(self, run_id: str) -> str | None:
        from mlflow.exceptions import MlflowException

        run_id = self._remote_id(run_id)
        try:
            self.api.update_run(run_id, status="RUNNING")
        except MlflowException as error:
            if error.error_code not in REJECTED:
                raise
            log.warning("run %s is not on %s; a new run is made", run_id, self.tracking_uri)
            return None
        return run_id

    def _remote_id(self, run_id: str) -> str:
        """Returns the server's id of a run that may have begun under a local id."""
        if not run_id.startswith("local-"):
            return run_id
        found = self._find(run_id)
        if found is None:
            raise ConnectionError(f"run {run_id} has not reached {self.tracking_uri} yet")
        return found

    def _find(self, local_id: str) -> str | None:
        experiments = [e.experiment_id for e in self.api.search_experiments()]
        runs = self.api.search_runs(experiments, f"tags.`{SPOOL_TAG}` = '{local_id}'", max_results=1)
        return runs[0].info.run_id if runs else None

    def _log_batch(self, kind: str, batch: list[Event]) -> None:
        from mlflow.entities import Metric, Param, RunTag

        made: Callable[[Event], Any] = {
            "metric": lambda e: Metric(e["name"], e["value"], e["time"], e["step"]),
            "param": lambda e: Param(e["name"], e["value"]),
            "tag": lambda e: RunTag(e["name"], e["value"]),
        }[kind]
        entities: dict[str, Any] = {f"{kind}s": [made(e) for e in batch]}
        self.api.log_batch(self.run_id, **entities)

    def _artifact(self, event: Event) -> None:
        path = self.spool.file(event["file"])
        log_it = self.api.log_artifacts if path.is_dir() else self.api.log_artifact
        log_it(self.run_id, str(path), event["folder"] or None)

    def _dataset(self, event: Event) -> None:
        from mlflow.entities import Dataset, DatasetInput
        from mlflow.exceptions import MlflowException

        source = json.dumps({"uri": event["uri"]})
        inputs = [DatasetInput(Dataset(event["name"], event["digest"], "local", source))]
        try:
            self.api.log_inputs(self.run_id, datasets=inputs)
        except MlflowException:  # another run logged this data set at the same moment: it is there now
            self.api.log_inputs(self.run_id, datasets=inputs)

    def _register(self, event: Event) -> None:
        from mlflow.exceptions import MlflowException

        name = event["name"]
        try:
            self.api.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        version = self.api.create_model_version(name, f"runs:/{self.run_id}/{name}", self.run_id).version
        if event["alias"]:
            self.api.set_registered_model_alias(name, event["alias"], version)
        self.registered[name] = f"models:/{name}/{version}"
