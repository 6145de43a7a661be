import io
import math
import warnings

import numpy as np
import torch

from vsep_ray.evaluation.likelihood import PROBES, Discrimination
from vsep_ray.evaluation.scores import Score
from vsep_ray.report.figures import (
    cross_likelihood_figure,
    dependence_figure,
    noise_response_figure,
    samples_figure,
    score_figure,
    sweep_figure,
    uncertainty_figure,
)


def png(figure):
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=40)
    return file.getvalue()


def texts(axis):
    return [t.get_text() for t in axis.texts]


ODD = ("Łąka", "日本", "_a $b$", 90 * "x")


def discrimination(sources=("bass", "drums")):
    levels = (0.01, 0.1, 1.0)
    count = len(sources)
    matrix = -torch.arange(3.0 * (count + 3) * count).reshape(3, count + 3, count)
    accuracy = dict.fromkeys(sources, (1.0, 0.9, 0.5))
    return Discrimination(
        sources, sources + PROBES, levels, matrix, torch.zeros_like(matrix), accuracy, accuracy
    )


def test_the_response_of_each_prior_to_noise_on_every_kind_of_clip():
    result = discrimination()
    figure = noise_response_figure(result)
    assert [a.get_title() for a in figure.axes] == ["prior bass", "prior drums"]
    for i, axis in enumerate(figure.axes):
        lines = {line.get_label(): line for line in axis.lines}
        assert tuple(lines) == result.clips
        own = lines[result.sources[i]]
        np.testing.assert_allclose(own.get_ydata(), result.above_noise()[result.sources[i]], rtol=1e-6)
        assert own.get_linewidth() == max(line.get_linewidth() for line in axis.lines)
    assert png(figure).startswith(b"\x89PNG")


def test_the_matrix_of_every_level_and_the_accuracy():
    sources = ("bass", "drums")
    figure = cross_likelihood_figure(discrimination(), 0.7)
    assert [a.get_title().split("\n")[0] for a in figure.axes] == [
        "sigma = 0.01",
        "sigma = 0.1",
        "sigma = 1",
        "fail the gate: drums",  # whose clips the other prior likes better
    ]
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("prior", "clips")
    assert [patch.get_xy() for patch in figure.axes[0].patches] == [(-0.5, row - 0.5) for row in range(5)]
    assert texts(figure.axes[1])[0] == "-10.00"
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == [*sources, *PROBES]
    lines = {line.get_label(): line for line in figure.axes[-1].lines}
    assert list(lines) == [*sources, "chance", "gate: 0.7", "judged here"]
    assert set(lines["gate: 0.7"].get_ydata()) == {0.7} and set(lines["judged here"].get_xdata()) == {0.01}
    assert "sigma" in figure.axes[-1].get_xlabel()
    assert png(figure).startswith(b"\x89PNG")


def test_a_sweep_averages_over_other_axes_and_leaves_failed_trials_out():
    rows = [
        {"beta": b, "depth": d, "seed": s, "score": b * d + s}
        for b in (0.1, 1.0)
        for d in (4, 8)
        for s in (0, 1)
    ]
    rows[0]["score"] = math.nan
    rows[-1]["score"] = rows[-2]["score"] = math.nan
    figure = sweep_figure(rows, "beta", "depth", "score")
    axis = figure.axes[0]
    assert texts(axis) == ["1.40", "4.50", "1.30", "nan"]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("beta", "depth")
    assert png(figure).startswith(b"\x89PNG")


def test_samples_are_shown_as_spectrograms_even_silent_and_short_ones():
    samples = np.stack([np.zeros(100), np.sin(np.arange(100))])
    figure = samples_figure(samples, 8_000)
    assert len(figure.axes) == 2 and figure.axes[0].get_ylabel() == "frequency (Hz)"
    assert png(figure).startswith(b"\x89PNG")


def test_uncertainty_has_a_panel_per_source_over_seconds():
    figure = uncertainty_figure(np.ones((2, 5)), 2 * np.ones((2, 5)), 0.1, ("bass", "drums"))
    assert [a.get_ylabel().split("\n")[0] for a in figure.axes] == ["bass", "drums"]
    actual, predicted = figure.axes[0].lines
    assert list(actual.get_xdata()) == [0.0, 0.1, 0.2, 0.30000000000000004, 0.4]
    assert np.allclose(actual.get_ydata(), 2, atol=1e-5) and np.allclose(predicted.get_ydata(), 1, atol=1e-5)
    assert png(figure)


def test_one_box_per_source_and_method_also_where_nothing_is_heard():
    values = {"mixture": -5.0, "model": 3.0, "oracle": 9.0}
    scores = [Score("t", s, m, v, v, v, math.nan) for s in ("bass", "drums") for m, v in values.items()]
    scores.append(Score("t", "vocals", "model", math.nan, math.nan, math.nan, -3.0))
    figure = score_figure(scores)
    assert png(figure).startswith(b"\x89PNG")
    labels = [t.get_text() for t in figure.axes[0].get_xticklabels()]
    assert labels == ["bass", "drums", "vocals"]
    assert [t.get_text() for t in figure.axes[0].get_legend().get_texts()] == list(values)


def test_few_songs_are_dots_and_five_a_box():
    few, enough = (
        score_figure([Score("t", "bass", "model", float(v), 0.0, 0.0, math.nan) for v in range(count)])
        for count in (4, 5)
    )
    assert [list(line.get_ydata()) for line in few.axes[0].lines] == [[0, 1, 2, 3]]
    assert not few.axes[0].patches and len(enough.axes[0].patches) == 1


def test_no_name_makes_matplotlib_complain():
    result = discrimination(ODD)
    scores = [Score(name, name, name, 1.0, 1.0, 1.0, math.nan) for name in ODD]
    rows = [{"日本": a, "$b": b, "_c": math.nan} for a in ODD for b in (1, 2)]
    summary = [{"axis": "日本", "value": v, "mean": {"_c": 1.0}, "deviation": {"_c": None}} for v in ODD]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for figure in (
            cross_likelihood_figure(result, 0.7),
            noise_response_figure(result),
            samples_figure(np.zeros((2, 100)), 8_000),
            uncertainty_figure(np.ones((4, 5)), np.ones((4, 5)), 0.1, ODD),
            sweep_figure(rows, "日本", "$b", "_c"),
            dependence_figure(summary, "_c"),
            score_figure(scores),
            score_figure([]),
        ):
            assert png(figure)
