"""Rows say who did a track, by which model, how often, and what was wrong with it."""

import platform

from vsep_ray.audio.formats import Failure
from vsep_ray.cluster.separate.settings import Assignment, WorkerSettings, failed, row_of
from vsep_ray.presets import SeparateCatalogConfig

SETTINGS = WorkerSettings(SeparateCatalogConfig(), "folder", "the model", "print", "out", "the run")


def test_a_row_names_its_maker_and_counts_this_try():
    row = row_of(Assignment("live/a.wav", "/music/live/a.wav", 2), SETTINGS, "separated")
    assert (row.track, row.status, row.failure) == ("live/a.wav", "separated", None)
    assert (row.model, row.fingerprint, row.run) == ("the model", "print", "the run")
    assert (row.attempts, row.node) == (3, platform.node())


def test_a_failed_row_has_its_failure_and_not_more_words_than_a_table_can_show(caplog):
    failure = Failure("decode", "x" * 600)
    row = failed(Assignment("a.wav", "/music/a.wav"), SETTINGS, failure)
    assert (row.status, row.attempts, row.stems) == ("failed", 1, ())
    assert row.failure == Failure("decode", "x" * 500)
    assert "track a.wav failed: decode: xxx" in caplog.text
