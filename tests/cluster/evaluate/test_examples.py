"""What is scored of a model that tells guitar and piano from other, where the references may not."""

import dataclasses

import numpy as np
import pytest
import soundfile
import torch
from stores import song_store, tune

from vsep_ray.cluster.evaluate.contenders import Contender, _spread, excerpts
from vsep_ray.cluster.evaluate.examples import asks_for_toys, fold, portions, scored
from vsep_ray.cluster.evaluate.job import _score_portion
from vsep_ray.datasets.folders import StemsConfig
from vsep_ray.presets import CropsConfig, EvaluateConfig
from vsep_ray.separators import Separator, SeparatorConfig, SpectrogramUNetConfig
from vsep_ray.streaming import Selection

SIX = ("bass", "drums", "guitar", "other", "piano", "vocals")
BACKBONE = SpectrogramUNetConfig(n_fft=64, hop=32, width=4, blocks=1)


def separator(*sources):
    torch.manual_seed(0)
    return Separator(SeparatorConfig(sources, 8_000, 1, (1.0,) * len(sources), backbone=BACKBONE)).eval()


@pytest.fixture
def song(tmp_path):
    """A function that makes a data set of one song with these stems."""

    def make(*stems):
        (tmp_path / "songs" / "one").mkdir(parents=True)
        for i, name in enumerate(stems):
            audio = np.random.default_rng(i).uniform(-0.2, 0.2, 12_000)
            soundfile.write(tmp_path / "songs" / "one" / f"{name}.wav", audio, 8_000)
        return EvaluateConfig(storage=str(tmp_path), dataset=StemsConfig(str(tmp_path / "songs")))

    return make


@pytest.mark.parametrize(
    ("stems", "sources", "expected"),
    [
        (("vocals", "other"), "auto", ("bass", "drums", "other", "vocals")),
        (("vocals", "other"), "six", SIX),
        (("vocals", "guitar"), "auto", SIX),
        (("vocals", "guitar"), "four", ("bass", "drums", "other", "vocals")),
    ],
)
def test_stems_are_scored_as_far_as_the_references_tell_them_apart(song, stems, sources, expected):
    config, model = dataclasses.replace(song(*stems), sources=sources), separator(*SIX)
    found = portions(config, model)
    selection = scored(config, found, model)
    assert selection.stems == expected
    contender = Contender("B amortized", "uri", "B", model, "amortized", config)
    scores = _score_portion(found[0], [contender], selection, False).scores
    assert {s.source for s in scores} == set(expected)
    (excerpt,) = excerpts(found[0], [contender], selection, ["one"])
    assert {c.name for c in excerpt.clips} == {"mixture", *expected}
    assert len(excerpt.predicted) == len(excerpt.actual) == len(expected)


def test_a_stem_is_the_sum_of_what_its_sources_give_the_mixture():
    sources, scales = torch.randn(6, 2, 50), torch.arange(1.0, 7.0)
    stems, own = fold(sources, Selection.of(SIX), scales)
    assert own.tolist() == [1, 2, 4, 6]
    torch.testing.assert_close(4 * stems[2], 3 * sources[2] + 4 * sources[3] + 5 * sources[4])
    torch.testing.assert_close(stems[[0, 1, 3]], sources[[0, 1, 5]])
    assert fold(sources, Selection.of(SIX, ("six",)), scales)[0] is sources


def test_a_stem_that_is_all_of_the_mixture_has_no_spread():
    model = separator("guitar", "other", "piano")
    mixture = torch.randn(1, 1, 500)
    assert _spread(mixture, model, Selection.of(model.sources)).max() < 1e-5
    assert _spread(mixture, model, Selection.of(model.sources, ("six",))).min() > 1e-3


def test_crops_of_toy_waves_ask_for_a_model_of_toy_waves(tmp_path, song):
    songs = {"one": ("train", {"sine": tune(0)})}
    for name in ("toy", "stems"):
        song_store(tmp_path / name, songs, dataset=name)
        assert asks_for_toys(EvaluateConfig(dataset=CropsConfig(str(tmp_path / name)))) == (name == "toy")
    assert not asks_for_toys(song("bass"))
