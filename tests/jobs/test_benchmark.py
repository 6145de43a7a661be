"""The benchmark on its smoke preset makes a row of every case, with a ratio."""

import dataclasses

import pytest

from vsep_ray.cluster.benchmark import job
from vsep_ray.datasets.toy import ToyConfig
from vsep_ray.presets import BENCHMARK
from vsep_ray.tracking.client import client


@pytest.mark.slow
@pytest.mark.ray
def test_every_case_is_a_row(ray_session, tmp_path, tracking_uri, capsys):
    toy = ToyConfig(lowest_hz=220, highest_hz=880, train_tracks=64, valid_tracks=8, test_tracks=0)
    place = {"storage": str(tmp_path), "tracking_uri": tracking_uri, "toy": toy}
    figures = job.run(dataclasses.replace(BENCHMARK["smoke"], **place))
    rows = {row["case"]: row for row in figures["rows"]}
    cases, printed = job.plan(BENCHMARK["smoke"])["cases"], capsys.readouterr().out
    if "the case rendering is left out" in printed:
        cases.remove("rendering")
    assert list(rows) == cases
    assert all(row["ratio"] == pytest.approx(row["system"] / row["bare"], rel=0.01) for row in rows.values())
    assert 0 <= rows["training"]["data_wait"] < 1 and rows["training"]["start_up_seconds"] > 0
    assert rows["reading"]["ratio"] < 1
    assert 50 < rows["preparing"]["bare"] < 4_000
    assert rows["separation"]["start_up_seconds"] > 0 and rows["scaling"]["ratio"] > 0
    assert rows["ledger"]["driver_mib"] > 50 and rows["ledger"]["seconds_of_a_second_run"] > 0
    assert 50 < rows["memory"]["bare"] < 4_000  # MiB: a process that has imported torch
    told = job.closing(BENCHMARK["smoke"], figures)[0][1].splitlines()
    assert len([line for line in told if line.startswith("| ")]) == 1 + len(cases)
    logged = client(tracking_uri).get_run(figures["run_id"]).data.metrics
    assert logged["training/ratio"] == pytest.approx(rows["training"]["ratio"], rel=0.01)
