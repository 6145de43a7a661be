"""A worker of bulk separation is told here how to separate, and which tracks; rows come of it."""

import logging
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from vsep_ray.audio.formats import Failure
from vsep_ray.catalog.ledger import LedgerRow
from vsep_ray.presets import SeparateCatalogConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WorkerSettings:
    """A worker needs to know how to separate, and what the config's names turned out to be.

    Attributes:
        config: the job's config, its precision and batch size settled.
        directory: a checkpoint directory that every node finds.
        model_uri: the URI of the same model, for the records.
        fingerprint: a hash of the model and all options that change the stems.
        output: folder of the stems and the ledger.
        run: id of the MLflow run, and behind a ``+`` which start of it.
        priors: source -> checkpoint directory of what the method asks; none for amortized.
    """

    config: SeparateCatalogConfig
    directory: str
    model_uri: str
    fingerprint: str
    output: str
    run: str = ""
    priors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Assignment:
    """An assignment is one track to do: its id, its file, how often it was tried before, and whether the
    names of its stems keep its ending, since another track has the same name without.
    """

    track: str
    uri: str
    attempts: int = 0
    whole: bool = False


def row_of(
    assignment: Assignment, settings: WorkerSettings, status: Literal["separated", "failed"]
) -> LedgerRow:
    """Returns a track's row for the ledger, without what its audio says."""
    return LedgerRow(
        assignment.track,
        status,
        settings.fingerprint,
        settings.model_uri,
        attempts=assignment.attempts + 1,
        node=platform.node(),
        run=settings.run,
    )


def failed(assignment: Assignment, settings: WorkerSettings, failure: Failure) -> LedgerRow:
    """Returns the row of a track that could not be separated."""
    log.warning("track %s failed: %s: %s", assignment.track, failure.stage, failure.message)
    return replace(row_of(assignment, settings, "failed"), stage=failure.stage, message=failure.message[:500])
