"""What tells a track that is done from one that must be done again."""

import dataclasses
import re

import numpy as np
import pyarrow as pa
import pytest

from vsep_ray import checkpoint
from vsep_ray.audio import io
from vsep_ray.cluster.separate import plan
from vsep_ray.cluster.separate.plan import default_name
from vsep_ray.config import fingerprint, what_counts
from vsep_ray.methods import RefineConfig
from vsep_ray.presets import SeparateCatalogConfig
from vsep_ray.priors import ScoreConfig
from vsep_ray.separators import Separator, SeparatorConfig
from vsep_ray.separators.spectrogram_unet import SpectrogramUNetConfig
from vsep_ray.streaming import Selection

BACKBONE = SpectrogramUNetConfig(n_fft=64, hop=32, width=4, blocks=1)
CHANGES_STEMS = {"template", "format", "subtype", "chunk_seconds", "overlap", "sources", "samples"}


def test_the_options_that_change_stems_are_those_of_the_ledgers_that_are_there():
    """A field more or less, and every catalog that was separated before would be separated again."""
    options = what_counts(SeparateCatalogConfig())
    assert set(options) - {"type"} == CHANGES_STEMS
    del options["type"]
    assert fingerprint({"model": "0" * 64, **options}) == "0daed6d48dd4"


def test_how_a_job_goes_about_it_changes_no_stem():
    plain = SeparateCatalogConfig()
    manner = {"batch_size": 16, "num_actors": 3, "max_failed": 0.5, "output": "/x", "overwrite": True}
    assert what_counts(dataclasses.replace(plain, **manner)) == what_counts(plain)
    assert what_counts(dataclasses.replace(plain, overlap=0.5)) != what_counts(plain)


@pytest.mark.parametrize(
    ("sources", "wanted", "told"),
    [
        (("bass", "other"), (), []),
        (("bass", "other"), ("six",), []),
        (("bass", "other"), ("bass", "other"), ["bass", "other"]),
        (("guitar", "other", "piano"), (), ["four"]),
        (("guitar", "other", "piano"), ("six",), []),
        (("guitar", "other", "piano"), ("guitar", "rest"), ["guitar", "rest"]),
    ],
)
def test_stems_that_were_made_before_there_were_four_and_six_still_count(sources, wanted, told):
    """No word in a ledger's fingerprint stands for all sources of the model."""
    assert plan._told(Selection.of(sources, wanted), wanted) == told


def ledger(*rows):
    names = ("time", "batch_size", "precision")
    return pa.table(list(zip(*rows, strict=True)) or [[], [], []], names)


@pytest.mark.parametrize(
    ("rows", "batch_size", "precision"),
    [
        ([], 0, "bf16"),  # nothing there: what suits the nodes
        ([(1.0, 2, "float32"), (2.0, 8, "bf16"), (1.5, 1, "float32")], 8, "bf16"),
        ([(1.0, 4, None)], 4, "float32"),  # of a version without a choice
    ],
)
def test_a_continued_run_computes_as_the_stems_that_are_there(rows, batch_size, precision, monkeypatch):
    monkeypatch.setattr(plan, "common_precision", lambda device: "bf16")
    settled = plan._settled(SeparateCatalogConfig(), ledger(*rows))
    assert (settled.batch_size, settled.precision) == (batch_size, precision)
    asked = SeparateCatalogConfig(batch_size=3, precision="float32")
    assert plan._settled(asked, ledger(*rows)) == asked


def test_priors_count_where_a_method_asks_them(tmp_path, separator_directory, priors_directory):
    (tmp_path / "songs").mkdir()
    io.write(tmp_path / "songs" / "a.wav", np.zeros((1, 8_000), np.float32), 8_000)
    plain = SeparateCatalogConfig(
        catalog=str(tmp_path / "songs"), model=separator_directory, storage=str(tmp_path)
    )
    refined = dataclasses.replace(plain, method=RefineConfig(), priors=priors_directory)
    first, second = (plan.prepare(config).settings for config in (plain, refined))
    assert not first.priors and set(second.priors) == {"bass", "other"}
    prior = ScoreConfig(n_fft=64, hop=32, width=4, levels=0, blocks=1).build(8000, 1)
    checkpoint.save(tmp_path / "priors" / "bass", prior, {"source": "bass"})
    third = plan.prepare(refined).settings
    assert len({first.fingerprint, second.fingerprint, third.fingerprint}) == 3


def test_catalogs_of_one_name_have_folders_of_their_own():
    assert default_name("/a/music") != default_name("/b/music")
    assert default_name("/a/music").startswith("music-")


@pytest.mark.parametrize(
    ("rate", "channels", "how", "words"),
    [
        (44_100, 2, "each", []),
        (16_000, 1, "each", ["hears up to 8,000 Hz: of 2 files looked at 1 go higher, .* goes to 'other'"]),
        (
            16_000,
            1,
            "middle",
            ["8,000 Hz", "is mono: of 2 .* 1 are not, and what differs between their sides"],
        ),
    ],
)
def test_what_a_model_cannot_hear_is_said(rate, channels, how, words):
    infos = [io.AudioInfo(44_100, 2, 10), io.AudioInfo(8_000, 1, 10)]
    config = SeparatorConfig(("bass", "other"), rate, channels, (1.0, 1.0), backbone=BACKBONE)
    told = plan.losses(infos, Separator(config), how)
    assert len(told) == len(words)
    assert all(re.search(w, t) for w, t in zip(words, told, strict=True)), told
