import math

import pytest
import torch

from vsep_ray.evaluation.scores import Score, aggregate, score_track, worst_first

RATE = 1000
SOURCES = ("bass", "drums", "vocals")


def example(absent=True):
    references = torch.randn(3, 1, 3 * RATE, generator=torch.Generator().manual_seed(0))
    references[0] = references[0].cumsum(-1) / 5
    if absent:
        references[2] = 0
    return references, references.sum(0)


def scores(estimates=None, mixture=None, **kwargs):
    references, total = example()
    estimates = references + 0.1 if estimates is None else estimates
    mixture = total if mixture is None else mixture
    return score_track("a", SOURCES, {"model": estimates}, references, mixture, torch.ones(3), RATE, **kwargs)


def find(rows, source, method):
    return next(r for r in rows if (r.source, r.method) == (source, method))


def test_every_source_has_floor_result_and_ceiling():
    rows = scores()
    assert len(rows) == 9
    for source in ("bass", "drums"):
        floor, result, ceiling = (find(rows, source, m) for m in ("mixture", "model", "oracle"))
        assert floor.si_sdr_improvement_db == 0
        assert result.si_sdr_improvement_db == pytest.approx(result.si_sdr_db - floor.si_sdr_db)
        assert ceiling.si_sdr_db > floor.si_sdr_db and math.isnan(result.leakage_db)


def test_an_absent_source_has_leakage_in_place_of_scores_and_spares_the_others():
    rows = scores()
    absent = find(rows, "vocals", "model")
    assert math.isnan(absent.si_sdr_db) and math.isnan(absent.sdr_db) and absent.leakage_db < -10
    assert find(rows, "vocals", "mixture").leakage_db == 0
    assert math.isfinite(find(rows, "bass", "model").sdr_db)
    total = aggregate(rows)["model"]
    assert total["silent"] == 1 and total["sources"]["vocals"]["si_sdr_db"] == {"mean": None, "median": None}


def test_what_no_reference_explains_lowers_the_ceiling():
    mixture = example()[1] + torch.randn(1, 3 * RATE, generator=torch.Generator().manual_seed(5))
    plain, noisy = (find(rows, "drums", "oracle").si_sdr_db for rows in (scores(), scores(mixture=mixture)))
    assert noisy < plain


def test_bsseval_adds_its_ratios_where_they_are_defined():
    rows = scores(bsseval=True)
    assert math.isfinite(find(rows, "bass", "model").sar_db)
    assert math.isnan(find(rows, "vocals", "model").sir_db)
    assert "sir_db" in aggregate(rows)["model"] and "sir_db" not in aggregate(scores())["model"]


def test_mean_and_median_over_tracks_and_the_worst_first():
    values = {"a": 1.0, "b": -4.0, "c": 9.0, "d": math.nan}
    rows = [Score(t, "bass", "model", v, v, v, math.nan) for t, v in values.items()]
    assert aggregate(rows)["model"]["si_sdr_db"] == {"mean": 2.0, "median": 1.0}
    assert worst_first(rows) == ["b", "a", "c", "d"]
