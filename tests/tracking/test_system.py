import time

from vsep_ray.tracking import Tracker, system_metrics
from vsep_ray.tracking.client import client


def test_the_load_of_the_machine_is_among_the_metrics(tracking_uri, tmp_path):
    with (
        Tracker.start(tracking_uri, experiment="test", run_name="load", spool=tmp_path / "spool") as tracker,
        system_metrics(tracker, 0.05),
    ):
        deadline = time.monotonic() + 20
        while not (found := names(tracking_uri, tracker.run_id)) and time.monotonic() < deadline:
            time.sleep(0.1)
    assert {"system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"} <= found


def names(tracking_uri, run_id):
    return {n for n in client(tracking_uri).get_run(run_id).data.metrics if n.startswith("system/")}
