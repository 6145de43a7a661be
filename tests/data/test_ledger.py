"""Rows come back, the latest holds, finished means finished."""

import pytest

from vsep_ray.data.ledger import Ledger, LedgerRow


@pytest.fixture
def ledger(tmp_path):
    return Ledger(str(tmp_path))


def test_an_empty_ledger(ledger):
    assert ledger.read() == {}
    ledger.compact()
    assert ledger.read() == {}


def test_rows_come_back_whole_and_the_latest_holds(ledger):
    old = LedgerRow("a", "failed", "f", stage="decode", message="é", time=1.0)
    stems = ("a/x.wav", "a/y.wav")
    new = LedgerRow("a", "separated", "f", stems=stems, stem_bytes=(3, 4), peak=0.1 + 0.2, time=2.0)
    other = LedgerRow("b", "failed", "f", attempts=3)
    ledger.append([new])
    ledger.append([old, other])
    assert ledger.read() == {"a": new, "b": other}
    ledger.compact()
    assert ledger.read() == {"a": new, "b": other}
    assert len(ledger._parts()) == 1


def test_a_compaction_that_was_killed_does_no_harm(ledger, monkeypatch):
    ledger.append([LedgerRow("a", "failed", "f", time=1.0)])
    ledger.compact()
    ledger.append([LedgerRow("a", "separated", "f", time=2.0)])
    monkeypatch.setattr(
        "vsep_ray.data.storage.delete", lambda uri: None
    )  # killed before it removes the parts
    ledger.compact()
    assert len(ledger._parts()) == 2
    assert ledger.read()["a"].status == "separated"


def test_finished_asks_for_status_options_and_whole_stems(ledger, tmp_path):
    (tmp_path / "x.wav").write_bytes(b"1234")
    row = LedgerRow("a", "separated", "f", stems=("x.wav",), stem_bytes=(4,))
    assert ledger.is_finished(row, "f")
    assert not ledger.is_finished(row, "g")
    assert not ledger.is_finished(LedgerRow("a", "failed", "f"), "f")
    (tmp_path / "x.wav").write_bytes(b"12")
    assert not ledger.is_finished(row, "f")
    (tmp_path / "x.wav").unlink()
    assert not ledger.is_finished(row, "f")
