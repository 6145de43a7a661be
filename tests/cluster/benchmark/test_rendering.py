"""The case rendering: FluidSynth's share of the way from seeds to crops, or a line that says why not."""

from soundfonts import synthesiser_or_skip, write_font

from vsep_ray.cluster.benchmark.rendering import rendering
from vsep_ray.datasets.band import BandConfig


def songs(font):
    return BandConfig(fonts=(str(font),), train_songs=1, song_seconds=8.0)


def test_the_synthesiser_is_a_share_of_all(tmp_path):
    synthesiser_or_skip()
    (row,) = rendering(songs(write_font(tmp_path / "x.sf2")), tmp_path, repeats=1)
    assert 0 < row.bare < row.system and row.details["synthesiser_share"] == row.bare / row.system
    assert list((tmp_path / "rendered").glob("split=train/source=mixture/*.parquet"))


def test_what_is_missing_is_said(tmp_path, capsys):
    assert rendering(songs(tmp_path / "gone.sf2"), tmp_path, repeats=1) == []
    assert "the case rendering is left out: " in capsys.readouterr().out
