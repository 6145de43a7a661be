"""Rows come back, the latest holds, finished means finished."""

import pathlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ledgers import rows_of

from vsep_ray.catalog.ledger import FORMAT, Ledger, LedgerRow, new_name
from vsep_ray.config import UserError


@pytest.fixture
def ledger(tmp_path):
    return Ledger(str(tmp_path))


def test_an_empty_ledger(ledger):
    assert rows_of(ledger) == {}
    ledger.compact()
    assert rows_of(ledger) == {}


def test_rows_come_back_whole_and_the_latest_holds(ledger):
    old = LedgerRow("a", "failed", "f", stage="decode", message="é", time=1.0)
    stems = ("a/x.wav", "a/y.wav")
    new = LedgerRow("a", "separated", "f", stems=stems, stem_bytes=(3, 4), peak=0.1 + 0.2, time=2.0)
    other = LedgerRow("b", "failed", "f", attempts=3)
    ledger.append([new])
    ledger.append([old, other])
    assert rows_of(ledger) == {"a": new, "b": other}
    ledger.compact()
    assert rows_of(ledger) == {"a": new, "b": other}
    assert len(ledger.parts()) == 1


def test_a_compaction_that_was_killed_does_no_harm(ledger, monkeypatch):
    ledger.append([LedgerRow("a", "failed", "f", time=1.0)])
    ledger.compact()
    ledger.append([LedgerRow("a", "separated", "f", time=2.0)])
    monkeypatch.setattr("vsep_ray.storage.delete", lambda uri: None)  # killed before it removes the parts
    ledger.compact()
    assert len(ledger.parts()) == 2
    assert rows_of(ledger)["a"].status == "separated"


def test_incomplete_are_those_without_all_stems_in_full_size(ledger, tmp_path):
    (tmp_path / "x.wav").write_bytes(b"1234")
    ledger.append(
        [
            LedgerRow("whole", "separated", "f", stems=("x.wav",), stem_bytes=(4,)),
            LedgerRow("cut", "separated", "f", stems=("x.wav", "x.wav"), stem_bytes=(4, 5)),
            LedgerRow("gone", "separated", "f", stems=("y.wav",), stem_bytes=(4,)),
        ]
    )
    assert list(ledger.incomplete(ledger.read())) == ["cut", "gone"]


def test_parts_are_merged_while_others_come(ledger):
    for track in "abc":
        ledger.append([LedgerRow(track, "separated", "f")])
    before = rows_of(ledger)
    ledger.merge(ledger.parts()[:2], new_name("merged"))
    ledger.append([LedgerRow("d", "failed", "f")])
    assert len(ledger.parts()) == 3
    assert {track: rows_of(ledger)[track] for track in "abc"} == before


def test_a_ledger_of_an_earlier_version_can_be_read(ledger, tmp_path):
    (tmp_path / "_ledger").mkdir()
    old = pa.table({"track": ["a"], "status": ["separated"], "fingerprint": ["f"], "time": [1.0]})
    pq.write_table(old, tmp_path / "_ledger" / "ledger.parquet")
    assert rows_of(ledger) == {"a": LedgerRow("a", "separated", "f", time=1.0)}


def test_a_ledger_of_a_later_format_is_refused_and_one_without_a_number_is_read(ledger):
    row = LedgerRow("a", "separated", "f")
    ledger.append([row])
    (name,) = ledger.parts()
    file = pathlib.Path(ledger.uri, name)
    table = pq.read_table(file)
    assert table.schema.metadata[b"format"] == str(FORMAT).encode()
    pq.write_table(table.replace_schema_metadata(None), file)
    assert rows_of(ledger) == {"a": row}
    pq.write_table(table.replace_schema_metadata({"format": str(FORMAT + 1)}), file)
    with pytest.raises(UserError, match=f"of format {FORMAT + 1}, this version reads up to {FORMAT}"):
        rows_of(ledger)
