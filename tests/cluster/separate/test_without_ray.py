"""A worker and all that it needs run on one machine where neither Ray nor MLflow is installed."""

import subprocess
import sys

import numpy as np
from ledgers import rows_of

from vsep_ray.audio import io
from vsep_ray.catalog.ledger import Ledger

CODE = """
import sys
sys.modules["ray"] = sys.modules["mlflow"] = None  # an import of either raises
from vsep_ray.cluster.separate.settings import Assignment, WorkerSettings
from vsep_ray.cluster.separate.worker import Worker
from vsep_ray.presets import SeparateCatalogConfig
music, model, output = sys.argv[1:]
config = SeparateCatalogConfig(chunk_seconds=0.5, batch_size=2)
worker = Worker(WorkerSettings(config, model, "the model", "print", output))
names = ("short.wav", "damaged.wav", "long.wav")
assert worker.separate([Assignment(name, f"{music}/{name}") for name in names]) is None
"""


def test_stems_and_rows_without_ray_and_mlflow(tmp_path, separator_directory):
    rng = np.random.default_rng(0)
    mixtures = {
        "short.wav": rng.uniform(-0.3, 0.3, (1, 1500)).astype(np.float32),
        "long.wav": rng.uniform(-0.3, 0.3, (2, 20_000)).astype(np.float32),
    }
    for name, audio in mixtures.items():
        io.write(tmp_path / name, audio, 8000)
    (tmp_path / "damaged.wav").write_bytes((tmp_path / "long.wav").read_bytes()[:50_000])
    words = [str(tmp_path), separator_directory, str(tmp_path / "stems")]
    done = subprocess.run([sys.executable, "-c", CODE, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    rows = rows_of(Ledger(str(tmp_path / "stems")))
    assert rows.keys() == {*mixtures, "damaged.wav"}
    assert rows["damaged.wav"].failure.stage == "decode" and not rows["damaged.wav"].stems
    for name, mixture in mixtures.items():
        assert rows[name].failure is None and rows[name].samples == mixture.shape[1]
        stems = [io.read(tmp_path / "stems" / stem)[0] for stem in rows[name].stems]
        np.testing.assert_allclose(sum(stems), mixture, atol=1e-6)
