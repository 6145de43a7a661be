import math
import os
import subprocess
import sys
import time

import matplotlib.pyplot as plt
import numpy as np
import pytest
import soundfile
from mlflow_server import MlflowServer, free_port

from vsep_ray.tracking import Tracker, replay, resolve_model
from vsep_ray.tracking.client import client


def start(tracking_uri, tmp_path, **kwargs):
    kwargs = {"experiment": "vsep/test", "run_name": "a run", "spool": tmp_path / "spool"} | kwargs
    return Tracker.start(tracking_uri, **kwargs)


def leftovers(tmp_path):
    return list((tmp_path / "spool").iterdir())


def artifacts(tracking_uri, run_id, folder=None):
    return [f.path for f in client(tracking_uri).list_artifacts(run_id, folder)]


def test_everything_arrives_and_the_spool_is_empty_afterwards(tracking_uri, tmp_path):
    with start(
        tracking_uri, tmp_path, tags={"regime": "B"}, params={"model": {"width": 8}, "long": "x" * 9000}
    ) as tracker:
        for step in range(1500):
            tracker.metrics({"loss": step / 2}, step)
        tracker.metrics({"häßlich": np.float32(1.5), "bad": math.nan})
        tracker.text("<html></html>", "report.html")
        tracker.figure(plt.figure(), "figures/loss.png")
        tracker.audio(np.array([[0.5, -2.0, 0.0]]), 8000, "audio/x.wav")
        tracker.dataset("toy", "abc123", "/data/toy")
    run = client(tracking_uri).get_run(tracker.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"model.width": "8", "long": "x" * 6000}
    assert run.data.tags["regime"] == "B"
    assert run.data.metrics["loss"] == 749.5
    assert run.data.metrics["h__lich"] == 1.5
    assert math.isnan(run.data.metrics["bad"]) and run.data.metrics["nonfinite_values"] == 1
    assert len(client(tracking_uri).get_metric_history(tracker.run_id, "loss")) == 1500
    assert artifacts(tracking_uri, tracker.run_id) == ["audio", "figures", "report.html"]
    assert run.inputs.dataset_inputs[0].dataset.digest == "abc123"
    assert leftovers(tmp_path) == []
    wav, rate = soundfile.read(tmp_path / f"artifacts/vsep-test/{tracker.run_id}/artifacts/audio/x.wav")
    assert rate == 8000 and np.allclose(wav, [0.25, -1.0, 0.0], atol=1e-4)


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED"), (SystemExit, "KILLED")]
)
def test_the_status_tells_how_the_run_ended(tracking_uri, tmp_path, error, status):
    with pytest.raises(error), start(tracking_uri, tmp_path) as tracker:
        raise error
    assert client(tracking_uri).get_run(tracker.run_id).info.status == status


def test_workers_attach_children_nest_and_runs_continue(tracking_uri, tmp_path):
    with start(tracking_uri, tmp_path) as parent:
        worker = Tracker.attach(tracking_uri, run_id=parent.run_id, spool=tmp_path / "spool")
        worker.metrics({"from_worker": 1})
        worker.finish()
        assert client(tracking_uri).get_run(parent.run_id).info.status == "RUNNING"
        with start(tracking_uri, tmp_path, parent_run_id=parent.run_id) as child:
            pass
    tags = client(tracking_uri).get_run(child.run_id).data.tags
    assert tags["mlflow.parentRunId"] == parent.run_id
    with start(tracking_uri, tmp_path, run_id=parent.run_id) as again:
        again.metrics({"more": 2})
        assert again.run_id == parent.run_id
    assert client(tracking_uri).get_run(parent.run_id).data.metrics == {"from_worker": 1, "more": 2}


def test_a_refused_value_is_dropped_and_the_rest_arrives(tracking_uri, tmp_path, caplog):
    with start(tracking_uri, tmp_path, params={"a": 1}) as tracker:
        tracker.params({"a": 2, "b": 3})
        tracker.artifact("/there/is/no/such/file")
        tracker.metrics({"text": "not a number"})
    assert client(tracking_uri).get_run(tracker.run_id).data.params == {"a": "1", "b": "3"}
    assert "tracking refuses" in caplog.text and "artifact was not recorded" in caplog.text


def test_a_killed_process_leaves_a_spool_that_the_next_run_sends(tracking_uri, tmp_path):
    code = f"""
import os
from vsep_ray.tracking import Tracker
spool = {str(tmp_path / "spool")!r}
tracker = Tracker.start({tracking_uri!r}, experiment="vsep/test", run_name="killed", spool=spool)
tracker._sender.close = tracker._sender.wake = lambda *a: None
tracker.metrics({{"loss": 1.0}})
print(tracker.run_id, flush=True)
os.kill(os.getpid(), 9)
"""
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=os.getcwd())
    run_id = killed.stdout.strip()
    assert len(leftovers(tmp_path)) == 1
    with start(tracking_uri, tmp_path):
        deadline = time.monotonic() + 20
        while len(leftovers(tmp_path)) > 1 and time.monotonic() < deadline:
            time.sleep(0.05)
    run = client(tracking_uri).get_run(run_id)
    assert (run.info.status, run.data.metrics) == ("KILLED", {"loss": 1.0})


def test_models_are_registered_and_resolved(tracking_uri, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    for version in (1, 2):
        (model / "config.json").write_text(str(version))
        with start(tracking_uri, tmp_path) as tracker:
            assert (
                tracker.register(model, "vsep-separator", "champion") == f"models:/vsep-separator/{version}"
            )
    by_run = f"runs:/{tracker.run_id}/vsep-separator"
    for uri in ("models:/vsep-separator@champion", "models:/vsep-separator/latest", by_run):
        assert (resolve_model(uri, tracking_uri, tmp_path / "cache") / "config.json").read_text() == "2"
    first = resolve_model("models:/vsep-separator/1", tracking_uri, tmp_path / "cache")
    assert (first / "config.json").read_text() == "1"
    assert first == resolve_model("models:/vsep-separator/1", tracking_uri, tmp_path / "cache")


def test_a_server_that_is_away_costs_little_and_gets_everything_later(tmp_path):
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    begin = time.monotonic()
    with start(uri, tmp_path, params={"a": 1}) as tracker:
        tracker.metrics({"loss": 1.0})
        assert tracker.register(model, "vsep-prior") is None
        with start(uri, tmp_path, run_name="child", parent_run_id=tracker.run_id) as child:
            pass
    assert time.monotonic() - begin < 20
    assert tracker.run_id.startswith("local-") and len(leftovers(tmp_path)) == 2
    with MlflowServer(port, tmp_path):
        assert replay(tmp_path / "spool", uri) == 2
        runs = client(uri).search_runs(["1"])
        by_name = {run.info.run_name: run for run in runs}
        parent = by_name["a run"]
        assert parent.info.status == "FINISHED"
        assert (parent.data.params, parent.data.metrics) == ({"a": "1"}, {"loss": 1.0})
        assert by_name["child"].data.tags["mlflow.parentRunId"] == parent.info.run_id
        path = resolve_model("models:/vsep-prior/1", uri, tmp_path / "cache")
        assert (path / "config.json").read_text() == "{}"
    assert leftovers(tmp_path) == [] and child.run_id.startswith("local-")
