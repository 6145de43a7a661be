"""What is done is what the ledger says, and so is a reason to stop."""

import pytest
from ledgers import rows_of

from vsep_ray.catalog import ledger as ledgers
from vsep_ray.catalog.ledger import Ledger, LedgerRow
from vsep_ray.cluster.separate.follower import Follower


class Tracker:
    def metrics(self, values, step):
        self.last = values, step


@pytest.fixture
def ledger(tmp_path):
    return Ledger(str(tmp_path))


def row(track, message="", run="me", **fields):
    status = "failed" if message else "separated"
    return LedgerRow(
        track, status, "f", stage="decode" if message else "", message=message, run=run, **fields
    )


def follow(ledger, total=10, max_alike=3):
    return Follower(ledger, "me", total, Tracker(), max_alike)


def test_new_rows_of_this_run_count_once(ledger):
    ledger.append([row("before")])
    follower = follow(ledger)
    ledger.append([row("a", audio_seconds=1800), row("theirs", run="another")])
    ledger.append([row("b", "bad")])
    follower.poll()
    follower.poll()
    assert (follower.done, follower.audio_seconds) == (2, 1800)
    seen = follower.look()
    assert (seen.count, seen.total) == (2, 10) and seen.words.startswith("30 min of audio, ")
    ledger.append([row("c", audio_seconds=1800)])
    follower.poll()
    assert (follower.done, follower.audio_seconds) == (3, 3600)


def test_many_parts_are_merged_as_they_come(ledger, monkeypatch):
    monkeypatch.setattr("vsep_ray.cluster.separate.follower.MERGE", 4)
    assert ledgers.MERGE > 4
    follower = follow(ledger)
    for i in range(9):
        ledger.append([row(str(i))])
        follower.poll()
    assert follower.done == 9 and len(ledger.parts()) == 3
    assert set(rows_of(ledger)) == set("012345678")


def test_a_glance_reads_and_reports_now_and_then(ledger, monkeypatch):
    follower = follow(ledger)
    ledger.append([row("a", audio_seconds=3)])
    follower.glance()
    assert follower.done == 1
    ledger.append([row("b", audio_seconds=3)])
    follower.glance()
    assert follower.done == 1, "a moment later nobody asks the store again"
    monkeypatch.setattr("vsep_ray.cluster.separate.follower.REPORT_SECONDS", 0.0)
    follower.glance()
    assert follower.tracker.last[0].keys() == {"tracks_done", "progress_realtime_factor"}


def test_a_store_that_does_not_answer_is_asked_again(ledger, caplog, monkeypatch):
    follower = follow(ledger)
    ledger.append([row("a")])
    with monkeypatch.context() as away:
        away.setattr(ledger, "parts", lambda: (_ for _ in ()).throw(OSError("away")))
        follower.glance()
    assert follower.done == 0 and "cannot read the ledger: away" in caplog.text
    follower.glance()
    assert follower.done == 1


def test_equal_failures_in_the_order_of_time_are_a_reason_to_stop(ledger):
    follower = follow(ledger, max_alike=3)
    for moment in (2.0, 1.0, 4.0):
        ledger.append([row(f"{moment}.wav", f"{moment}.wav at {moment}", time=moment)])
    ledger.append([row("good.wav", time=3.0)])
    follower.poll()
    assert follower.done == 4 and follower.stop is None
    ledger.append([row("5.wav", "5.wav at 1.0", time=5.0), row("6.wav", "6.wav at 1.0", time=6.0)])
    follower.poll()
    assert "3 tracks in a row failed alike (decode: 6.wav at 1.0)" in follower.stop
