"""Scalars are averaged between two reports, beside the time that waiting took."""

import torch

from vsep_ray.meter import Meter


def test_the_meter_averages_what_it_was_given_and_starts_anew():
    meter = Meter()
    meter.add({"a": torch.tensor(1.0), "b": torch.tensor(5.0)})
    meter.add({"a": torch.tensor(3.0)})
    means = meter.drain()
    assert (means["a"], means["b"]) == (2.0, 5.0)
    assert meter.waiting(lambda: {"x": torch.ones(1)})["x"] == 1
    assert meter.drain().keys() == {"seconds", "steps_per_second", "data_wait"}
