"""Progress is what the ledger says; the breaker counts equal failures in a row."""

import pytest

from vsep_ray.catalog import ledger as ledgers
from vsep_ray.catalog.ledger import Ledger, LedgerRow
from vsep_ray.cluster.separate.progress import Progress


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
    return Progress(ledger, "me", total, Tracker(), max_alike, seconds=0.01)


def test_new_rows_of_this_run_count_once(ledger):
    ledger.append([row("before")])
    progress = follow(ledger)
    ledger.append([row("a", audio_seconds=1800), row("theirs", run="another")])
    ledger.append([row("b", "bad")])
    progress.poll()
    progress.poll()
    assert (progress.done, progress.audio_seconds) == (2, 1800)
    assert progress.line().startswith("2/10 tracks, 0.50 h of audio, ")
    ledger.append([row("c", audio_seconds=1800)])
    progress.poll()
    assert (progress.done, progress.audio_seconds) == (3, 3600)
    assert "left" in progress.line()


def test_many_parts_are_merged_as_they_come(ledger, monkeypatch):
    monkeypatch.setattr("vsep_ray.cluster.separate.progress.MERGE", 4)
    assert ledgers.MERGE > 4
    progress = follow(ledger)
    for i in range(9):
        ledger.append([row(str(i))])
        progress.poll()
    assert progress.done == 9 and len(ledger.parts()) == 3
    assert set(ledger.rows()) == set("012345678")


def test_it_logs_while_nothing_ends(ledger, caplog):
    with caplog.at_level("INFO"), follow(ledger) as progress:
        ledger.append([row("a", audio_seconds=3)])
        while progress.done < 1:
            pass
    assert "0/10 tracks" in caplog.text or "1/10 tracks" in caplog.text
    assert progress.tracker.last[0].keys() == {"tracks_done", "progress_realtime_factor"}


ALIKE = ["decode: a.wav at 17", "decode: b.wav at 4", "decode: c.wav at 90"]


@pytest.mark.parametrize(
    ("messages", "max_alike", "stops"),
    [
        (ALIKE, 3, True),
        (ALIKE, 4, False),
        (ALIKE, 0, False),
        ([ALIKE[0], "", *ALIKE[1:]], 3, False),
        ([ALIKE[0], "other", *ALIKE[1:]], 3, False),
    ],
)
def test_the_breaker(ledger, messages, max_alike, stops):
    progress = follow(ledger, max_alike=max_alike)
    for i, (track, message) in enumerate(zip(["a.wav", "b.wav", "c.wav", "d.wav"], messages, strict=False)):
        ledger.append([row(track, message.replace("b.wav", track).replace("c.wav", track), time=float(i))])
        progress.poll()
    assert (progress.stop is not None) == stops
    if stops:
        assert "3 tracks in a row failed alike" in progress.stop and "--max-alike 0" in progress.stop
