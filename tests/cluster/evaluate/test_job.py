"""Scoring under Ray: whole tracks of any rate, held-out crops, what is refused."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from vsep_ray import checkpoint
from vsep_ray.cluster.evaluate.contenders import find_contenders
from vsep_ray.cluster.evaluate.job import closing, plan, run
from vsep_ray.cluster.evaluate.report import table
from vsep_ray.config import UserError
from vsep_ray.crops.store import CropStore
from vsep_ray.crops.writing import Unit, begin, finish, write_unit
from vsep_ray.datasets.folders import StemsConfig
from vsep_ray.datasets.toy import ToyConfig
from vsep_ray.datasets.track import CropConfig, Stem, Track
from vsep_ray.inference import amortized
from vsep_ray.presets import EVALUATE, CropsConfig
from vsep_ray.separators import Separator
from vsep_ray.tracking.client import client


@pytest.fixture
def config(tmp_path, separator_directory):
    return dataclasses.replace(
        EVALUATE["smoke"],
        storage=str(tmp_path / "storage"),
        tracking_uri=f"sqlite:///{tmp_path}/storage/mlflow.db",
        model=(separator_directory,),
        listening_tracks=1,
    )


@pytest.fixture
def songs(tmp_path):
    """Two songs in stereo at another rate, with a stem that the model does not know; one is damaged."""
    random = np.random.default_rng(0)
    for song in ("one", "two"):
        (tmp_path / "songs" / song).mkdir(parents=True)
        for name, seconds in [("bass", 2.0), ("other", 1.5), ("piano", 1.0)]:
            audio = random.uniform(-0.2, 0.2, (int(11025 * seconds), 2))
            soundfile.write(tmp_path / "songs" / song / f"{name}.wav", audio, 11025)
    soundfile.write(tmp_path / "songs" / "one" / "mixture.wav", random.uniform(-0.2, 0.2, (22050, 2)), 11025)
    (tmp_path / "songs" / "two" / "bass.wav").write_text("not sound")
    return str(tmp_path / "songs")


@pytest.mark.ray
def test_whole_tracks_are_scored_between_floor_and_ceiling(ray_session, config, songs):
    figures = run(dataclasses.replace(config, dataset=StemsConfig(songs)))
    assert (figures["tracks"], figures["failed"], figures["regime"]) == (1, 1, "B")
    for source in ("bass", "other"):
        floor, ceiling = (figures[m]["sources"][source]["si_sdr_db"]["median"] for m in ("mixture", "oracle"))
        assert floor < ceiling
        assert math.isfinite(figures["sources"][source]["sdr_db"]["mean"])
    assert "piano" not in figures["sources"]
    published = figures["published_mixture"]["B amortized"]["si_sdr_db"]["mean"]
    assert math.isfinite(published) and published != figures["si_sdr_db"]["mean"]
    assert "x real time" in closing(config, figures)[0][1]
    html = Path(figures["report"]).read_text()
    assert html.count("<audio") == 5  # mixture, two references, two estimates of the one worst track
    run_ = client(config.tracking_uri).get_run(figures["run_id"])
    assert run_.data.metrics[f"si_sdr_db/median/{figures['method']}"] == figures["si_sdr_db"]["median"]
    names = {f.path for f in client(config.tracking_uri).list_artifacts(figures["run_id"])}
    assert {"report.html", "scores.csv", "scores.png", "audio"} <= names


def store(root, sources=("bass", "other"), dataset="stems", rate=8000):
    """A store of ten songs of one crop each in split test, and one to train on."""
    crop = CropConfig(rate, 1, 512)
    names = [f"song{n}" for n in range(10)]
    tracks = [Track(n, stems=tuple(Stem(s, (s,)) for s in sources), split="test") for n in names]
    tracks.append(dataclasses.replace(tracks[0], id="other song", split="train"))
    store = CropStore(
        uri=f"{root}/crops/x",
        dataset=dataset,
        **vars(crop),
        sources=sources,
        scales=(1.0,) * len(sources),
        paired=dataset != "sources",
        fingerprint="f",
    )
    random = np.random.default_rng(0)
    begin(store, False)

    def load(track):
        return {s.source: iter([random.uniform(-0.5, 0.5, (1, 512)).astype(np.float32)]) for s in track.stems}

    groups = [tracks[:3], tracks[3:6], tracks[6:9], tracks[9:10], tracks[10:]]
    units = [Unit(f"{i}", g[0].split, tuple(g)) for i, g in enumerate(groups)]
    done = [write_unit(store, unit, load) for unit in units]
    return finish(store, done, "")


@pytest.mark.ray
def test_crops_of_the_latest_store_up_to_a_limit(ray_session, config):
    store(config.storage)
    figures = run(dataclasses.replace(config, max_tracks=7))
    assert figures["tracks"] == 7 and figures["failed"] == 0
    assert plan(config)["units"] == 4


@pytest.mark.ray
def test_all_models_and_methods_stand_in_one_table_with_their_speed(
    ray_session, config, separator_directory, priors_directory
):
    store(config.storage)
    many = dataclasses.replace(
        config,
        model=(separator_directory, separator_directory),
        methods=("amortized", "refine", "langevin"),
        priors=priors_directory,
        max_tracks=4,
    )
    figures = run(many)
    names = [f"B {m}{n}" for n in ("", " (2)") for m in ("amortized", "refine", "langevin")]
    assert list(figures["methods"]) == ["mixture", *names, "oracle"]
    assert all(figures["methods"][n]["realtime_factor"] > 0 for n in names)
    assert figures["methods"]["B refine"]["si_sdr_db"] == figures["methods"]["B refine (2)"]["si_sdr_db"]
    assert figures["methods"]["B refine"]["si_sdr_db"] != figures["si_sdr_db"]
    assert "\nB langevin " in closing(many, figures)[0][1]
    html = Path(figures["report"]).read_text()
    assert html.count("<audio") == 1 + 2 * 7
    names = {f.path for f in client(config.tracking_uri).list_artifacts(figures["run_id"])}
    assert "uncertainty" in names


def test_refinement_without_priors_names_the_job_that_makes_them(config):
    with pytest.raises(UserError, match=r"train_priors\.py"):
        find_contenders(dataclasses.replace(config, methods=("refine",)))


def test_models_of_other_sources_are_scored_apart(config, separator_directory, tmp_path):
    other = Separator(dataclasses.replace(checkpoint.load(separator_directory).config, sample_rate=16_000))
    checkpoint.save(tmp_path / "second", other, {"regime": "A"})
    with pytest.raises(UserError, match="score them apart"):
        find_contenders(dataclasses.replace(config, model=(separator_directory, str(tmp_path / "second"))))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": ToyConfig()}, "--dataset crops"),
        ({"dataset": StemsConfig()}, "--root"),
        ({}, "prepare_crops.py"),
        ({"model": ("/no/such/model",)}, "no directory"),
    ],
)
def test_what_cannot_be_scored_is_refused_with_the_cure(config, options, message):
    with pytest.raises(UserError, match=message):
        plan(dataclasses.replace(config, **options))


def test_crops_at_another_rate_and_stems_of_other_names_are_refused(config, songs):
    with pytest.raises(UserError, match=r"\(16000, 1\)"):
        plan(dataclasses.replace(config, dataset=CropsConfig(store(config.storage, rate=16000).uri)))
    with pytest.raises(UserError, match="name them by --map"):
        plan(dataclasses.replace(config, dataset=StemsConfig(songs, ("brass=bass.*", "rest=other.*"))))


def test_long_mixtures_are_separated_in_chunks_that_mix_exactly(config):
    (contender,) = find_contenders(dataclasses.replace(config, precision="float32"))
    separator, mixtures = contender.separator, torch.randn(2, 1, 8000 * 8)
    estimates = contender.separate(mixtures)
    torch.testing.assert_close(separator.mixing.mix(estimates), mixtures, atol=1e-4, rtol=0)
    short = mixtures[..., :4000]
    torch.testing.assert_close(
        contender.separate(short), amortized(short, separator=separator), atol=1e-5, rtol=0
    )


def test_the_table_shows_a_dash_for_no_score():
    none = {"mean": None, "median": None}
    row = {"si_sdr_db": none, "sdr_db": none}
    methods = {m: {**row, "sources": {"bass": row}} for m in ("mixture", "oracle")}
    lines = table(methods).splitlines()
    assert len(lines) == 3 and lines[1].startswith("mixture") and "- / -" in lines[1]
