"""Levels and silence, counted per unit and added up."""

import pyarrow as pa

from vsep_ray.crops.statistics import SourceStatistics, count_crops, source_statistics


def table(*levels):
    silent = [level < -60 for level in levels]
    return pa.table({"rms_db": levels, "silent": silent, "activity": [0.5 * (not s) for s in silent]})


def test_counts_of_units_add_up():
    counts = [
        count_crops("drums", table(-20.0, -70.0)),
        count_crops("drums", table(-30.0, -40.0)),
        count_crops("bass", table(-90.0)),
    ]
    assert source_statistics(counts) == {
        "drums": SourceStatistics(crops=4, silence=0.25, level_db=-30, activity=0.375),
        "bass": SourceStatistics(crops=1, silence=1, level_db=-120, activity=0),
    }
