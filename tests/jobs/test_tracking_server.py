"""A training whose MLflow server is killed for a minute: it goes on, and no step is missing afterwards."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow_server import MlflowServer, free_port

from vsep_ray.tracking.client import client

ROOT = Path(__file__).parents[2]
AWAY_SECONDS = 60
STEPS, EVERY = 14_000, 20


def history(uri, run_id):
    return [m.step for m in client(uri).get_metric_history(run_id, "train/loss")]


def running(uri):
    """The id of the run that trains, once it has logged a step."""
    api = client(uri)
    for _ in range(600):
        found = api.search_runs([e.experiment_id for e in api.search_experiments()])
        for run in found:
            if "train/loss" in run.data.metrics:
                return run.info.run_id
        time.sleep(0.2)
    raise TimeoutError("nothing was logged")


@pytest.mark.slow
@pytest.mark.ray
def test_no_step_is_missing_after_the_server_was_away(tmp_path):
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    command = f"{sys.executable} jobs/train_separator.py --preset smoke --regime B --resources.num-workers 1"
    command += f" --storage {tmp_path}/storage --tracking-uri {uri}"
    command += f" --fit.steps {STEPS} --fit.log-every {EVERY} --fit.checkpoint-every {STEPS}"
    with MlflowServer(port, tmp_path):
        job = subprocess.Popen(command.split(), cwd=ROOT, stdout=subprocess.PIPE, text=True)
        run_id = running(uri)
        before = len(history(uri, run_id))
    time.sleep(AWAY_SECONDS)
    assert job.poll() is None, "the training was over before the server came back: more steps"
    with MlflowServer(port, tmp_path):
        figures = json.loads(job.communicate(timeout=900)[0].splitlines()[-1])
        assert (job.returncode, figures["status"], figures["steps"]) == (0, "done", STEPS)
        assert client(uri).get_run(run_id).info.status == "FINISHED"
        steps = history(uri, run_id)
    assert before < STEPS // EVERY and steps == list(range(EVERY, STEPS + 1, EVERY))
