"""Dreams drawn in this process; the job draws them on the cluster's devices (tests/jobs)."""

import pytest
import torch
from gaussian import white

from vsep_ray.cluster.train import dreams
from vsep_ray.config import UserError
from vsep_ray.crops.reading import read_crops
from vsep_ray.crops.store import CropStore
from vsep_ray.crops.writing import begin, finish, records
from vsep_ray.dreaming import DreamConfig, batches

LENGTH, STDS = 64, {"bass": 0.1, "drums": 0.4}


@pytest.fixture
def layout(tmp_path, monkeypatch):
    """An empty store for dreams of white priors, each of which is named as its directory."""
    monkeypatch.setattr(dreams.checkpoint, "load_prior", lambda name: white(STDS[name], LENGTH))
    layout = CropStore(str(tmp_path), "dreams", 8_000, 1, LENGTH, tuple(STDS), (1.0, 1.0), False, "abc")
    begin(layout, fresh=False)
    return layout


def dream(layout, source, config):
    count = len(batches(config, LENGTH))
    drawn = [dreams._draw(source, source, LENGTH, i, config, 1, "cpu", "float32") for i in range(count)]
    dreams._choose(layout, source, {s: s for s in STDS}, config, 1, "cpu", "float32", *drawn)
    return next(record for record in records(layout.uri) if record.key == source)


def test_every_clip_is_a_song_of_its_own_at_the_level_of_its_prior(layout):
    store = finish(layout, [dream(layout, source, DreamConfig(200)) for source in STDS], "")
    for source, std in STDS.items():
        crops = read_crops(store, "train", source)
        assert len(set(crops.track)) == 200
        assert torch.from_numpy(crops.audio).std().item() == pytest.approx(std, rel=0.03)


def test_the_same_seed_draws_the_same(layout):
    counts = [dream(layout, "bass", DreamConfig(8)).counts for _ in range(2)]
    assert counts[0] == counts[1]


def test_a_level_that_the_prior_does_not_know_is_refused(layout):
    with pytest.raises(UserError, match=r"--dreams\.sigma"):
        dream(layout, "bass", DreamConfig(8, sigma=500.0))


def test_too_few_agreed_dreams_are_refused(layout, monkeypatch):
    monkeypatch.setattr(dreams, "agreement", lambda clips, *_: torch.zeros(len(clips), dtype=torch.bool))
    with pytest.raises(UserError, match="only 0 of 40 dreams of bass are taken for it"):
        dream(layout, "bass", DreamConfig(40, agreement=0.1))
