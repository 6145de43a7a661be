"""The benchmark on its smoke preset: every case a ratio, and errors where results can be compared."""

import dataclasses

import pytest
import torch

from vsep_ray.chunking import overlap_add
from vsep_ray.cluster.benchmark import job
from vsep_ray.cluster.benchmark.cases import overlap_add_in_memory
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
    data = {"writing", "reading", "flac", "preparing"}
    catalog = {"separation", "scaling", "ledger"}
    assert set(rows) == data | catalog | {"training", "memory", "stitching", "generation"}
    assert all(row["ratio"] == pytest.approx(row["system"] / row["bare"], rel=0.01) for row in rows.values())
    assert rows["separation"]["error"] < 1e-5 and rows["stitching"]["error"] < 1e-5
    assert rows["generation"]["error"] < 1e-9 < rows["generation"]["level"]
    assert 0 <= rows["training"]["data_wait"] < 1 and rows["training"]["start_up_seconds"] > 0
    assert rows["reading"]["times_as_fast_as_stem_mp4"] > 1 and rows["flac"]["ratio"] < 1
    assert 50 < rows["preparing"]["bare"] < 4_000
    assert rows["separation"]["start_up_seconds"] > 0 and rows["scaling"]["ratio"] > 0
    assert rows["ledger"]["driver_mib"] > 50 and rows["ledger"]["seconds_of_a_second_run"] > 0
    assert 50 < rows["memory"]["bare"] < 4_000  # MiB: a process that has imported torch
    assert len([line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]) == 1 + 11
    logged = client(tracking_uri).get_run(figures["run_id"]).data.metrics
    assert logged["training/ratio"] == pytest.approx(rows["training"]["ratio"], rel=0.01)


def test_the_two_overlap_adds_agree_for_any_length():
    def separate(mixture):
        return torch.stack([mixture.tanh(), mixture.cos()], 1)

    for length in (1, 5, 6, 7, 40, 41):
        mixture, sizes = torch.randn(2, length), {"chunk": 6, "hop": 4, "batch_size": 2}
        streamed = torch.cat(list(overlap_add(separate, mixture.split(7, -1), **sizes)), -1)
        torch.testing.assert_close(overlap_add_in_memory(separate, mixture, **sizes), streamed)
