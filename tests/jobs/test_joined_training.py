"""Priors and a separator learn from two stores at once, and evaluation reads them as one."""

import dataclasses

import pytest

from vsep_ray import checkpoint
from vsep_ray.cluster import prepare_crops
from vsep_ray.cluster.evaluate import job as evaluate
from vsep_ray.cluster.train import priors as train_priors
from vsep_ray.cluster.train import separator
from vsep_ray.crops.store import CropStore
from vsep_ray.datasets.toy import ToyConfig
from vsep_ray.presets import EVALUATE, PREPARE_CROPS, TRAIN_SEPARATOR, CropsConfig
from vsep_ray.tracking.client import client

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def crops(toy_storage):
    """The toy crops of all training tests, and others with longer crops and a test split."""
    place = {name: toy_storage[name] for name in ("storage", "tracking_uri")}
    toy = ToyConfig(("sine", "square"), 220, 880, train_tracks=32, valid_tracks=8, test_tracks=8, seed=5)
    smoke = PREPARE_CROPS["smoke"]
    config = dataclasses.replace(
        smoke, **place, dataset=toy, crop=dataclasses.replace(smoke.crop, length=1_500)
    )
    return (*toy_storage["crops"], prepare_crops.prepare(config)["output"])


WEIGHTS = (1.0, 2.0)


@pytest.mark.slow
def test_priors_train_on_two_stores(priors_config, crops):
    figures = train_priors.run(dataclasses.replace(priors_config, crops=crops, crop_weights=WEIGHTS))
    store = CropStore.open(figures["crops"])
    assert {m.uri: m.weight for m in store.members} == dict(zip(crops, WEIGHTS, strict=True))
    assert set(figures["steps"].values()) == {4}


@pytest.mark.slow
def test_a_separator_trains_on_two_stores_and_is_scored_on_both(priors_config, crops):
    place = {name: getattr(priors_config, name) for name in ("storage", "tracking_uri")}
    config = dataclasses.replace(
        TRAIN_SEPARATOR["smoke"], **place, fit=priors_config.fit, crops=crops, crop_weights=WEIGHTS
    )
    trained = separator.run(config)
    store = CropStore.open(trained["crops"])
    assert trained["steps"] == 4 and len(store.members) == 2
    assert checkpoint.read_provenance(trained["model"])["crops"] == store.mark
    names = [f.path for f in client(config.tracking_uri).list_artifacts(trained["run_id"])]
    assert "crops.csv" in names
    asked = {"model": (trained["model"],), "dataset": CropsConfig(store.uri), "max_tracks": 6}
    scores = evaluate.run(dataclasses.replace(EVALUATE["smoke"], **place, **asked))
    assert scores["tracks"] == 6 and scores["failed"] == 0
