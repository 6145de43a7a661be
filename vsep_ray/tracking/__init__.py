"""Runs, metrics, artefacts and models in MLflow: the only room that imports it.

Tracking never blocks work and never ends it: everything is written to a local spool first, a background
thread sends it with short time-outs, a failure trips a breaker that tries again later, and what was left when
a process ended is sent by the next run on the same spool (`replay`).
"""

from vsep_ray.tracking.models import exact_model, resolve_model
from vsep_ray.tracking.sender import replay
from vsep_ray.tracking.system import system_metrics
from vsep_ray.tracking.tracker import Tracker

__all__ = ["Tracker", "exact_model", "replay", "resolve_model", "system_metrics"]
