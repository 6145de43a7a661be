"""Small pictures of a source: how loud, how high, how busy it is, and its spectrum."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from vsep_ray.survey.sources import Survey

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 3.4, 2.1
"""Size of a picture in inches: four stand side by side on a page, one on a telephone."""
PLACE = (0.19, 0.24, 0.78, 0.65)
"""Left, bottom, width and height of the axes: to have them computed takes as long as to draw the picture."""
INK, BAR = "#777777", "#2a7de1"
"""Both can be read on a bright and on a dark page."""
QUIETEST = -60
"""LUFS where the histogram of loudness begins; what is softer counts there."""


def data_figures(survey: Survey) -> dict[str, "Figure"]:
    """Returns the pictures of a source by what they show; none where no crop was audible."""
    if not survey.songs:
        return {}
    draw = {
        "loudness of crops": _loudness,
        "pitches of the strongest partials": _pitches,
        "onsets per second": _onsets,
        "long-term average spectrum": _spectrum,
    }
    return {name: _picture(name, survey, function) for name, function in draw.items()}


def _picture(name: str, survey: Survey, draw: "Callable[[Axes, Survey], None]") -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEIGHT))
    axis = figure.add_axes(PLACE)
    draw(axis, survey)
    axis.set_title(name, fontsize=9, color=INK)
    axis.set_facecolor("none")
    axis.tick_params(colors=INK, labelsize=8)
    for label in (axis.xaxis.label, axis.yaxis.label):
        label.set(color=INK, fontsize=8)
    for side, line in axis.spines.items():
        line.set(color=INK, visible=side in ("left", "bottom"))
    return figure


def _loudness(axis: "Axes", survey: Survey) -> None:
    heard = np.maximum([value for value in survey.lufs if np.isfinite(value)], QUIETEST)
    _histogram(axis, heard, np.arange(QUIETEST, 3, 3))
    axis.set(xlabel="LUFS", ylabel="share of crops")


def _onsets(axis: "Axes", survey: Survey) -> None:
    most = max(8.0, float(np.ceil(max(survey.onsets))))
    _histogram(axis, np.array(survey.onsets), np.linspace(0, most, 17))
    axis.set(xlabel="onsets per second", ylabel="share of crops")


def _pitches(axis: "Axes", survey: Survey) -> None:
    keys = np.arange(len(survey.keys))
    axis.bar(keys, survey.keys / max(1, survey.keys.sum()), width=1, color=BAR)
    axis.set_xticks(keys[3::12], [f"C{i + 1}" for i in range(8)])
    axis.set(xlabel="piano key", ylabel="share of partials", xlim=(-1, len(keys)))


def _spectrum(axis: "Axes", survey: Survey) -> None:
    bins = np.arange(1, len(survey.power)) * survey.sample_rate / 2 / (len(survey.power) - 1)
    axis.semilogx(bins, 10 * np.log10(survey.power[1:] + 1e-14), color=BAR, linewidth=1)
    axis.set(xlabel="Hz", ylabel="dB re full scale, per bin", xlim=(bins[0], bins[-1]))


def _histogram(axis: "Axes", values: np.ndarray, edges: np.ndarray) -> None:
    if len(values):
        axis.hist(values, list(edges), weights=np.full(len(values), 1 / len(values)), color=BAR)
    axis.set_xlim(edges[0], edges[-1])
