"""The chain of jobs with its storage in a bucket: crops, priors, dreams, checkpoints, separator, catalog."""

import dataclasses

import numpy as np
import pytest

from vsep_ray import storage
from vsep_ray.audio import io
from vsep_ray.cluster import prepare_crops
from vsep_ray.cluster.evaluate import job as evaluate
from vsep_ray.cluster.separate import job as separate
from vsep_ray.cluster.train import priors as train_priors
from vsep_ray.cluster.train import separator as train_separator
from vsep_ray.datasets.toy import ToyConfig
from vsep_ray.dreaming import DreamConfig
from vsep_ray.presets import EVALUATE, PREPARE_CROPS, SEPARATE_CATALOG, TRAIN_PRIORS, TRAIN_SEPARATOR
from vsep_ray.training import FitConfig

FIT = FitConfig(steps=4, batch_size=8, log_every=2, checkpoint_every=2)
TOY = ToyConfig(
    shapes=("sine", "square"), lowest_hz=220, highest_hz=880, train_tracks=32, valid_tracks=8, test_tracks=8
)


def changed(uri):
    """File -> when it was written, of all that is below."""
    names = storage.list_files(uri)
    return dict(zip(names, storage.stamps([storage.join(uri, n) for n in names]), strict=True))


@pytest.mark.slow
@pytest.mark.ray
def test_a_chain_in_a_bucket(ray_session, bucket, tracking_uri, tmp_path):
    def config(presets, **changes):
        return dataclasses.replace(presets["smoke"], storage=bucket, tracking_uri=tracking_uri, **changes)

    crops = prepare_crops.prepare(config(PREPARE_CROPS, dataset=TOY))
    assert crops["output"].startswith("s3://")
    priors = train_priors.run(config(TRAIN_PRIORS, fit=FIT))
    separator_config = config(TRAIN_SEPARATOR, regime="A", fit=FIT, dreams=DreamConfig(16), force=True)
    by_run = dataclasses.replace(separator_config, priors=priors["run_id"])
    separator = train_separator.run(by_run)
    before = changed(storage.join(bucket, "runs"))
    assert train_separator.run(separator_config)["model"] == separator["model"], "the latest priors are these"
    assert changed(storage.join(bucket, "runs")) == before, "it trained again"
    fresh = train_separator.run(dataclasses.replace(by_run, fresh=True))
    assert fresh["model"] == separator["model"] and changed(storage.join(bucket, "runs")) != before
    scores = evaluate.run(config(EVALUATE, methods=("amortized", "refine"), priors=priors["priors"]))
    assert scores["model"] == separator["model"] and storage.exists(scores["report"])
    io.write(tmp_path / "a.wav", 0.1 * np.ones((1, 9_000), np.float32), 8_000)
    storage.upload(tmp_path / "a.wav", storage.join(bucket, "music", "a.wav"))
    music = storage.join(bucket, "music")
    found = separate.run(config(SEPARATE_CATALOG, catalog=music, model=separator["model"]))
    assert (found["separated"], found["failed"]) == (1, 0) and storage.exists(found["ledger"])
