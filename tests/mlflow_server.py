"""A real MLflow server with proxied artefacts, for the tests that need one."""

import os
import socket
import subprocess
import sys
import time
import urllib.request


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class MlflowServer:
    """One worker over a sqlite store below ``folder``; a context manager."""

    def __init__(self, port, folder):
        self.url = f"http://127.0.0.1:{port}/health"
        self.command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
        self.command += [
            "--backend-store-uri",
            f"sqlite:///{folder}/server.db",
            "--artifacts-destination",
            str(folder / "served"),
        ]

    def __enter__(self):
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self.process = subprocess.Popen(
            self.command,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for _ in range(900):  # three minutes: a slow machine is no fault of the server
            try:
                return urllib.request.urlopen(self.url, timeout=1)
            except OSError:
                time.sleep(0.2)
        raise TimeoutError("mlflow server did not start")

    def __exit__(self, *_):
        os.killpg(self.process.pid, 15)
        self.process.wait()
